// SPDX-License-Identifier: Apache-2.0
// lr_find: mock steps of the frozen phase at rising learning rates (fastai's Learner.lr_find right after the
// learner was made).
#pragma once

#include "train/lr_curve.hpp"
#include "train/training_setup.hpp"

#include <functional>
#include <string>

namespace petnet::train {

struct lr_find_hooks {
    std::function<void(const lr_curve&)> on_step; // the curve so far
    std::function<bool()> stop_requested;         // asked after each step
    std::function<void(const std::string&)> on_warning = [](const std::string&) {};
};

struct lr_find_result {
    bool finished = false; // false: stopped on request
    lr_curve curve;
};

// Trains until the curve is complete: one rate for all parameter groups, momentum .9, epoch after epoch as a
// training of the same seed would begin. The setup's parameters are of no more use afterwards. Errors as
// steps_per_epoch and make_phase_plans; input_error where too many photographs are broken.
[[nodiscard]] lr_find_result find_lr(const training_setup& setup, const lr_find_hooks& hooks);

} // namespace petnet::train
