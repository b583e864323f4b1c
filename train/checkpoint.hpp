// SPDX-License-Identifier: Apache-2.0
// The state of an unfinished run in one file, `checkpoint/state.safetensors`: the tensors of
// model::collect_state with Adam's moments, and as metadata the position, the identity of the run and the
// length of its metrics log.
#pragma once

#include "model/parameters.hpp"
#include "model/weights/weight_file.hpp"
#include "train/fine_tuner.hpp"

#include <cstdint>
#include <exception>
#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <thread>

namespace petnet::train {

struct checkpoint_info {
    training_position position;
    std::string identity;            // of the run: options, data and weights (run_folder.hpp)
    std::uint64_t metrics_bytes = 0; // length of metrics.jsonl at that moment
};

struct checkpoint {
    checkpoint_info info;
    model::weight_file state; // for model::restore_state
};

// input_error where the file is no checkpoint.
[[nodiscard]] checkpoint read_checkpoint(const std::filesystem::path& file);

// Writes checkpoints behind the training's back: `write` copies the state and returns, a thread brings it to
// the disk. The file is replaced whole, so that a reader finds the old one or the new one.
class checkpoint_writer {
  public:
    explicit checkpoint_writer(std::filesystem::path file);
    ~checkpoint_writer();                                 // waits; an error that nobody asked for is lost
    checkpoint_writer(const checkpoint_writer&) = delete; // owns a thread
    checkpoint_writer& operator=(const checkpoint_writer&) = delete;

    // Waits for the one before. Throws its environment_error, if it failed.
    void write(const model::parameters& p, const checkpoint_info& info);
    // Returns when the last one is on the disk; throws its environment_error.
    void wait();

  private:
    std::filesystem::path file_;
    std::thread thread_;
    std::exception_ptr failure_;
};

} // namespace petnet::train
