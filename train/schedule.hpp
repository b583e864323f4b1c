// SPDX-License-Identifier: Apache-2.0
// fine_tune's learning rates and momentum at every step (fastai 2.8: Learner.fine_tune, fit_one_cycle).
#pragma once

#include "model/network.hpp"
#include "model/plan.hpp"

#include <array>
#include <cstdint>
#include <vector>

namespace petnet::train {

struct hyperparameters {
    std::array<double, model::parameter_groups> lr{};
    double mom = 0;
};

// One call of fit_one_cycle.
struct training_phase {
    model::phase kind = model::phase::frozen;
    std::int64_t epochs = 1;
    std::array<double, model::parameter_groups> lr_max{};
    double warmup = 0.25; // fraction of all steps spent rising ("pct_start")
    double div = 25;      // first rate = lr_max / div

    // For step `done` (counted from 0) of `total`: cosine from lr_max/div up to lr_max over the warm-up,
    // cosine down to lr_max/1e5 after it; momentum .95 -> .85 -> .95 likewise. Position = done / total.
    [[nodiscard]] hyperparameters at(std::int64_t done, std::int64_t total) const;
};

// The two phases of fine_tune(epochs, base_lr, freeze_epochs). A phase of 0 epochs is left out.
[[nodiscard]] std::vector<training_phase> fine_tune_phases(std::int64_t epochs, double base_lr,
                                                           std::int64_t freeze_epochs);

// adam_step's settings for update `step` of a phase, counted from 1: a row for each parameter group. fastai
// clears the optimizer's state when it freezes or unfreezes, so every count starts again with each phase.
[[nodiscard]] std::vector<double> adam_settings(const hyperparameters& h, std::int64_t step);

} // namespace petnet::train
