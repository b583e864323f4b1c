// SPDX-License-Identifier: Apache-2.0
// What fastai's autologging (mlflow.fastai, last in MLflow 2.22) writes of a fine_tune run besides its
// metrics, under the same names and in the same words, so that runs of both stand side by side in one table.
#pragma once

#include "train/options.hpp"
#include "train/schedule.hpp"
#include "train/tracking/sink.hpp"

#include <vector>

namespace petnet::train {

// fine_tune's arguments, the extremes of each phase's schedule ("freeze_" before those of the frozen one),
// Adam's settings, the network's; then petnet's own options that decide what is learned.
[[nodiscard]] std::vector<tracking::entry> autolog_parameters(const train_options& options,
                                                              const std::vector<training_phase>& phases);

// The schedules, drawn: freeze_lr.svg, freeze_mom.svg, lr.svg, mom.svg.
[[nodiscard]] std::vector<tracking::artifact> schedule_charts(const std::vector<training_phase>& phases);

} // namespace petnet::train
