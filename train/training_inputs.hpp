// SPDX-License-Identifier: Apache-2.0
// From options to what a training starts from: photographs, split, device, and the network with its weights.
#pragma once

#include "data/labels.hpp"
#include "data/photo_store.hpp"
#include "data/split.hpp"
#include "data/work_listener.hpp"
#include "kernels/backend.hpp"
#include "model/network.hpp"
#include "model/parameters.hpp"
#include "train/options.hpp"
#include "train/run.hpp"
#include "train/training_setup.hpp"

#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <string>

namespace petnet::train {

struct training_inputs {
    std::filesystem::path data_folder;
    std::unique_ptr<data::photo_store> photos;
    std::string label_rule; // as given or chosen
    data::photo_labels labels;
    data::photo_split split;
    std::string split_words; // what the split follows
    std::unique_ptr<kernels::backend> device;
    kernels::dtype activations = kernels::dtype::f32;
    model::network network;
    std::unique_ptr<model::parameters> parameters;
    std::string weights;                         // where they come from, in words
    std::string weights_hash;                    // SHA-256 of their file, or "random"
    std::string weights_key;                     // of several sets in that file, the one that was named
    std::int64_t batch_size = 0, image_size = 0; // batch_size: of each rank
    ranks::communicator* group = nullptr;
    bool augment = false;
    std::uint64_t seed = 0;
    unsigned loader_threads = 0;
    // What took how long.
    double seconds_photographs_opened = 0, seconds_device = 0, seconds_weights = 0;
};

// This process among those that train together.
struct process_place {
    ranks::communicator& group = ranks::alone(); // outlives the inputs
    int on_this_machine = 1;                     // processes, this one included
};

// Refuses all that is wrong in the options that decide what is trained and on what, and in the files they
// name: photographs first, as the commonest mistakes are in them and nothing before them takes time. Writes
// nothing but what is fetched into the cache folder (places.hpp; `fetching` hears of it and may stop it:
// data::work_stopped). Errors as in base/errors.hpp; `warn` takes what is only odd, now and while the device
// works.
[[nodiscard]] training_inputs load_inputs(const train_options& options, const data::work_listener& fetching,
                                          const std::function<void(const std::string&)>& warn,
                                          const process_place& place = {});

// Refers to the inputs.
[[nodiscard]] training_setup setup_of(const training_inputs& inputs);

// All but what an output folder and the epochs add.
[[nodiscard]] run_summary summary_of(const training_inputs& inputs, const train_options& options);

} // namespace petnet::train
