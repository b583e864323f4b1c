// SPDX-License-Identifier: Apache-2.0
// A whole `petnet train`: options in, an output folder out.
#pragma once

#include "data/work_listener.hpp"
#include "train/observer.hpp"
#include "train/options.hpp"

#include <cstdint>
#include <filesystem>
#include <functional>
#include <string>

namespace petnet::train {

// What is known before the first step, for the user to read.
struct run_summary {
    std::string data, weights; // where they come from, in words
    std::string split;         // what it follows
    std::string device, precision;
    std::size_t hidden = 0, skipped = 0, broken = 0, train = 0, valid = 0;
    std::vector<std::string> classes;
    double guess_error = 0; // of always answering the larger class, over the validation photographs
    std::filesystem::path output,
        moved_to; // moved_to: where an earlier run in `output` went; empty: none was there
    bool resumed = false;
    std::int64_t resumed_epoch = 0, epochs = 0; // over the whole run
};

class run_observer : public observer {
  public:
    virtual void on_start(const run_summary& /*summary*/) {}
    // Before it, where photographs or weights have to be fetched.
    virtual void on_fetch(const data::work_progress& /*now*/) {}
    virtual void on_fetch_note(std::string_view /*line*/) {}
};

struct run_result {
    bool finished = false; // false: stopped on request, with a checkpoint saved
    std::filesystem::path model;
    bool leads = true; // false: another of several processes has the model, and says so
};

// Asked after every step.
struct run_requests {
    std::function<bool()> stop;
    std::function<bool()> checkpoint{}; // one is saved now, and the training goes on; may be empty
    // Where another of several processes is gone, this one has been told so, and still does not end: called
    // from another thread with the reason, to end the process. May be empty.
    std::function<void(const std::string& why)> abandon{};
};

// Where the environment says that this is one of several processes (ranks/launch.hpp) they train together,
// and rank 0 alone writes, tracks and is listened to, but for warnings. environment_error in all of them
// where one is gone or fails.
//
// Errors as in base/errors.hpp; data::work_stopped where a stop is asked for before the first step, while
// photographs or weights are fetched.
[[nodiscard]] run_result run_training(const train_options& options, run_observer& listener,
                                      const run_requests& requests);

} // namespace petnet::train
