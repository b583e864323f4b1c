// SPDX-License-Identifier: Apache-2.0
// The training steps of one epoch, on any schedule.
#pragma once

#include "data/loader.hpp"
#include "train/schedule.hpp"
#include "train/training_setup.hpp"

#include <cstdint>
#include <functional>

namespace petnet::train {

struct step_settings {
    hyperparameters hyper;
    std::int64_t update = 1; // adam_settings' count, from 1 after the moments were cleared
};

struct finished_step {
    std::int64_t step_in_epoch = 0; // from 0
    hyperparameters hyper;
    std::size_t images = 0;
    double loss = 0;
};

struct step_hooks {
    std::function<step_settings(std::int64_t step_in_epoch)> settings;
    std::function<void()> begin;                      // a step's batch is there
    std::function<void(const finished_step&)> finish; // in the order of the steps, each at most one step late
    // Asked after each step was started; where there are several ranks, what one of them wants all do.
    std::function<bool()> stop_requested;
    // Where that holds then, all steps that were started are finished and `save` is called. May be empty.
    std::function<bool()> save_due{};
    std::function<void()> save{};
    // Called instead of going on, once a step was finished whose loss is not finite: in all ranks, with the
    // first such step. Throws. May be empty: then the steps go on.
    std::function<void(const finished_step&)> loss_lost{};
};

struct epoch_outcome {
    bool stopped = false;        // on request; steps that were started are finished all the same
    double seconds_waited = 0;   // for photographs
    std::size_t pixel_bytes = 0; // copied to the device
};

// The steps of epoch `run_epoch` (counted over the whole run: keys the order, the cuts and dropout) from
// `first_step` to its end, of which each rank does its part. A device works on one step while the next is
// prepared for it. input_error where too many photographs are broken.
epoch_outcome run_epoch_steps(const training_setup& setup, model::plan& plan, std::int64_t run_epoch,
                              std::int64_t first_step, const step_hooks& hooks);

// Pixels, or what setup.on_device makes of them, and labels, as a plan takes them; photographs that the batch
// lacks are any. The number of bytes of pixels.
std::size_t upload(const training_setup& setup, const model::plan& plan, data::photo_batch& batch);

} // namespace petnet::train
