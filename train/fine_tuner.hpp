// SPDX-License-Identifier: Apache-2.0
// fine_tune: the two phases, epoch by epoch, step by step. Where there are several ranks, each of them runs
// it and does its part of every batch; rank 0 has the results.
#pragma once

#include "train/device_photographs.hpp"
#include "train/observer.hpp"
#include "train/phase_plans.hpp"
#include "train/schedule.hpp"
#include "train/training_setup.hpp"

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

namespace petnet::train {

// Where a run stands, between two steps; with the parameters and Adam's moments, all that a resume needs.
struct training_position {
    std::int64_t phase = 0;         // index into the phases; their number: finished
    std::int64_t epoch = 0;         // within the phase
    std::int64_t step_in_epoch = 0; // steps done; all of them: the validation is next
    std::int64_t step = 0;          // over the whole run
    smoothed_loss train_loss;       // of the phase
};

enum class checkpoint_reason { epoch_ended, due, stop };

class fine_tuner {
  public:
    // Errors as of steps_per_epoch.
    fine_tuner(const training_setup& setup, std::vector<training_phase> phases, observer& listener);

    struct hooks {
        // Asked after each step and each validation batch. What one rank wants, here or below, all do.
        std::function<bool()> stop_requested;
        // At a stop, and at the end of every epoch but the last, after which the run ends; and after a step
        // where `checkpoint_due` holds, which may be empty.
        std::function<void(const training_position&, checkpoint_reason)> checkpoint;
        std::function<bool()> checkpoint_due{};
    };

    // Continues from `position` (a new one starts at the beginning) to the end, or until a stop is requested:
    // then false, and the checkpoint hook has been called with where it stopped. A run that was stopped and
    // continued gives the same bits as one that was not. input_error where too many photographs are broken,
    // or all that validate, and, within a step, where the loss is not finite: no checkpoint is made then.
    [[nodiscard]] bool run(training_position& position, const hooks& calls);
    // Of all phases so far: their plans, and the memory for photographs on the device.
    [[nodiscard]] double seconds_preparing() const { return seconds_preparing_; }

  private:
    // With photographs on the device, unless the plans need that memory.
    [[nodiscard]] std::unique_ptr<phase_plans> plans_of(model::phase kind);
    [[nodiscard]] bool train_epoch(training_position& position, model::plan& plan, std::int64_t run_epoch,
                                   const hooks& calls, epoch_report& report);
    // False where a stop was requested.
    [[nodiscard]] bool validate(model::plan& plan, const hooks& calls, epoch_report& report);
    [[nodiscard]] std::string first_broken() const; // of those that validate: why

    std::unique_ptr<device_photographs> on_device_;
    std::unique_ptr<kernels::all_reduce> averages_; // where there are several ranks
    training_setup setup_;
    std::vector<training_phase> phases_;
    observer& listener_;
    kernels::backend& device_;
    std::int64_t steps_per_epoch_;
    double seconds_preparing_ = 0;
};

} // namespace petnet::train
