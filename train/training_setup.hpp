// SPDX-License-Identifier: Apache-2.0
// What is trained, and on what: all that the steps of a training need but their schedule.
#pragma once

#include "data/loader.hpp"
#include "data/photo_store.hpp"
#include "data/split.hpp"
#include "model/parameters.hpp"
#include "model/plan.hpp"
#include "train/ranks/communicator.hpp"

#include <cstddef>
#include <cstdint>
#include <optional>
#include <vector>

namespace petnet::train {

class device_photographs;

struct training_setup {
    model::parameters& parameters;
    const model::network& network;
    data::photo_store& photos;
    const std::vector<std::int32_t>& labels; // of every photograph of the folder
    const data::photo_split& split;
    std::int64_t batch_size = 64, image_size = 224; // of each rank; image_size: of what the network sees
    // The photographs come larger (data::presized) and are sampled down: to train, each by its augmentation.
    bool augment = false;
    std::uint64_t seed = 42;
    kernels::dtype activations = kernels::dtype::f32;
    unsigned loader_threads = 0; // 0: one for each core
    // Most bytes of the device's memory that photographs may take (device_photographs.hpp); nothing: all that
    // is to spare.
    std::optional<std::size_t> device_photo_bytes;
    device_photographs* on_device = nullptr; // where they lie; nullptr: each batch brings its squares
    // The processes that train together, and how they average gradients; nullptr: there is one.
    ranks::communicator& group = ranks::alone();
    kernels::all_reduce* averages = nullptr;
};

// Of so many training photographs; usage_error where they do not fill one batch, or a batch has one
// photograph.
[[nodiscard]] std::int64_t steps_per_epoch(std::size_t photographs, std::int64_t batch_size);
// Of all ranks together, on the setup's photographs.
[[nodiscard]] std::int64_t steps_per_epoch(const training_setup& setup);
// A rank's part of a batch; usage_error where the batch cannot be divided equally, or leaves a rank with one
// photograph.
[[nodiscard]] std::int64_t batch_of_rank(std::int64_t batch_size, int ranks);

[[nodiscard]] model::plan_options plan_options(const training_setup& setup, model::phase kind);

// For a pass over the photographs; epoch and first batch are left to the caller.
[[nodiscard]] data::loader_options loader_options(const training_setup& setup);

} // namespace petnet::train
