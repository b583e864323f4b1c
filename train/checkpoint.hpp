// SPDX-License-Identifier: Apache-2.0
// The state of an unfinished run in one file, `checkpoint/state.safetensors`: the tensors of
// model::collect_state with Adam's moments, and as metadata the position, the identity of the run, the length
// of its metrics log, and a checksum over all of it.
#pragma once

#include "model/parameters.hpp"
#include "model/weights/weight_file.hpp"
#include "train/fine_tuner.hpp"

#include <cstdint>
#include <filesystem>
#include <mutex>
#include <optional>
#include <span>
#include <string>
#include <thread>
#include <vector>

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

// input_error where the file is no checkpoint or is damaged; what it says of its place is whole and not
// negative, but not checked against any run.
[[nodiscard]] checkpoint read_checkpoint(const std::filesystem::path& file);

// input_error naming `file`, where the position comes from, unless a run of these phases passes by it: their
// end, or a step within one of them with the counts that belong to it.
void require_position(const training_position& at, const std::vector<training_phase>& phases,
                      std::int64_t steps_per_epoch, const std::filesystem::path& file);

// Replaces the file whole, so that a reader finds the old one or the new one; environment_error.
void write_checkpoint(const std::filesystem::path& file, std::span<const model::weight_tensor> tensors,
                      const checkpoint_info& info);

// The checksum that a checkpoint of these tensors has beside `info`, the rest of its metadata as JSON text.
[[nodiscard]] std::string checkpoint_checksum(const std::string& info,
                                              std::span<const model::weight_tensor> tensors);

// Writes checkpoints behind the training's back: `write` returns at once, a thread brings the state to the
// disk. A checkpoint that cannot be written is no reason to end a training: the failure waits to be asked
// for.
class checkpoint_writer {
  public:
    explicit checkpoint_writer(std::filesystem::path file);
    ~checkpoint_writer();                                 // waits; a failure that nobody asked for is lost
    checkpoint_writer(const checkpoint_writer&) = delete; // owns a thread
    checkpoint_writer& operator=(const checkpoint_writer&) = delete;

    // Waits for the one before.
    void write(std::vector<model::weight_tensor> state, const checkpoint_info& info);
    // Returns when the last one is on the disk, or has failed.
    void wait();
    // Why one could not be written, once for each. Does not wait.
    [[nodiscard]] std::optional<std::string> take_failure();

  private:
    std::filesystem::path file_;
    std::thread thread_;
    std::mutex mutex_; // guards what follows
    std::optional<std::string> failure_;
};

} // namespace petnet::train
