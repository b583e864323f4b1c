// SPDX-License-Identifier: Apache-2.0
// What a training tells about itself while it runs: progress on a terminal, logs and tracking listen here.
#pragma once

#include "model/plan.hpp"
#include "train/metrics.hpp"
#include "train/schedule.hpp"

#include <cstddef>
#include <cstdint>
#include <string_view>
#include <vector>

namespace petnet::train {

struct step_report {
    std::int64_t step = 0; // over the whole run, from 0
    model::phase phase = model::phase::frozen;
    std::int64_t epoch = 0;         // over the whole run, from 0
    std::int64_t step_in_epoch = 0; // from 0
    std::int64_t steps_in_epoch = 0;
    double loss = 0;
    hyperparameters hyper;
    double images_per_second = 0; // of this step, waiting for photographs included
    double seconds_left = 0;      // in this epoch, at the epoch's mean pace
};

struct epoch_report {
    std::int64_t epoch = 0; // over the whole run, from 0
    model::phase phase = model::phase::frozen;
    double train_loss = 0; // fastai's smoothed training loss
    validation_metrics validation;
    double seconds = 0, seconds_validating = 0, seconds_waited = 0; // waited: for photographs, while training
    std::size_t pixel_bytes = 0; // copied to the device, those that validate included
};

// A photograph to validate on, and the network's answer.
struct validated_photo {
    std::size_t photo = 0; // index into the folder's
    std::int32_t label = 0;
    std::vector<float> logits;
};

class observer {
  public:
    virtual ~observer() = default;
    virtual void on_phase(const training_phase& /*phase*/) {}
    // The batch is there, and so is all that was prepared for the phase.
    virtual void on_step_begin() {}
    virtual void on_step(const step_report& /*step*/) {}
    virtual void on_validation(std::int64_t /*done*/, std::int64_t /*batches*/) {}
    // Before on_epoch: those that were not broken, in order.
    virtual void on_validated(const std::vector<validated_photo>& /*photos*/) {}
    virtual void on_epoch(const epoch_report& /*epoch*/) {}
    virtual void on_warning(std::string_view /*line*/) {}
};

} // namespace petnet::train
