// SPDX-License-Identifier: Apache-2.0
// What a training tells to trackers: in fastai's names where it has them (docs/tracking.md).
#pragma once

#include "train/observer.hpp"
#include "train/options.hpp"
#include "train/run_folder.hpp"
#include "train/tracking/sink.hpp"

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

namespace petnet::train {

class run_tracking final : public observer {
  public:
    using sinks = std::vector<std::unique_ptr<tracking::sink>>;

    // `warned` hears of what fails, on the training's thread.
    run_tracking(sinks to, tracking::run_start run, std::vector<training_phase> phases, observer& warned);

    void start(std::int64_t first_step);
    void on_step(const step_report& step) override;
    void on_epoch(const epoch_report& epoch) override;
    // The last call. The files in the folder and the drawn schedules are kept where the training finished.
    void end(tracking::ending how, const run_folder& output, const std::function<bool()>& hurry);

  private:
    void pass_warnings();
    [[nodiscard]] std::int64_t epoch_in_phase(std::int64_t epoch) const;

    sinks sinks_;
    tracking::run_start run_;
    std::vector<training_phase> phases_;
    observer& warned_;
    std::int64_t last_step_ = 0;
};

// What people know the run by: its output folder's name.
[[nodiscard]] std::string run_name(const run_folder& output);

// TensorBoard's event files in `logs` beside the output folder, or in --logs; MLflow where
// MLFLOW_TRACKING_URI names a server.
[[nodiscard]] run_tracking::sinks make_sinks(const train_options& options, const run_folder& output,
                                             observer& warned);

} // namespace petnet::train
