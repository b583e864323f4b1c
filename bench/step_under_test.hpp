// SPDX-License-Identifier: Apache-2.0
// A step of training or evaluation on random photographs, from random weights: what train_step times and
// petnet-bench takes apart.
#pragma once

#include "kernels/backend.hpp"
#include "model/network.hpp"
#include "model/parameters.hpp"
#include "model/plan.hpp"
#include "train/device_photographs.hpp"

#include <CLI/CLI.hpp>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

namespace petnet::bench {

struct step_options {
    std::string phase = "unfrozen"; // frozen, unfrozen, evaluation
    std::int64_t batch = 64, size = 224;
    std::string precision = "fp32"; // fp32, tf32, bf16, fp16
    std::string device = "auto";
    int threads = 0;             // 0: all that the process may use
    std::string fuse = "faster"; // pairs of operations: never, faster, always (kernels::fusion)
    bool augmented = false; // photographs come larger and are sampled down, as --recipe augmented does it
    bool resident = false;  // photographs lie in the device's memory half resized, as on a GPU in training
    bool operator==(const step_options&) const = default;
};

// --phase, --batch, --size, --precision, --device, --threads, --fuse.
void add_options(CLI::App& program, step_options& options);

[[nodiscard]] kernels::dtype dtype_of(const std::string& precision); // tf32 is float32 too
// A batch of photographs of 500x375 in a device's memory, of random pixels. The device outlives them.
class resident_photographs {
  public:
    resident_photographs(kernels::backend& device, const step_options& options);
    [[nodiscard]] const train::device_photographs& memory() const { return memory_; }
    // Waits for nothing; the first copies the photographs, each says where the plan cuts them.
    void upload(const model::plan& plan) { memory_.upload(plan, batch_); }

  private:
    data::photo_batch batch_;
    train::device_photographs memory_;
};

// usage_error for an unknown phase or precision. `photographs`: those of resident ones, else null.
[[nodiscard]] model::plan_options plan_options_of(const step_options& options,
                                                  const resident_photographs* photographs);
// As `petnet train` makes it: with train::cache_folder(), so that a GPU's convolutions are the fastest of
// those that were timed. usage_error where it has not the precision.
[[nodiscard]] std::unique_ptr<kernels::backend> device_for(const step_options& options);

[[nodiscard]] double seconds_now(); // of a clock that only goes forward

class step_under_test {
  public:
    // On device_for(options).
    explicit step_under_test(const step_options& options);

    // The host waits for each step's loss before it starts the next. Seconds.
    [[nodiscard]] double step();

    // The host prepares a step while the device works on the last one, as train/fine_tuner does; with
    // `uploads`, each step gets its photographs anew. Seconds of `steps` steps, from a device that has
    // nothing to do until it has nothing to do again.
    [[nodiscard]] double steps_in_a_row(int steps, bool uploads);

    [[nodiscard]] kernels::backend& device() { return *device_; }
    [[nodiscard]] const model::plan& plan() const { return plan_; }
    [[nodiscard]] double seconds_to_prepare() const { return seconds_to_prepare_; }

  private:
    void upload_pixels();
    void upload_settings();

    std::unique_ptr<kernels::backend> device_;
    model::network network_;
    model::parameters parameters_;
    std::unique_ptr<resident_photographs> photographs_; // null: pixels_ are written
    model::plan plan_;
    kernels::device_memory memory_;
    std::vector<std::byte> pixels_;
    std::vector<std::int32_t> target_;
    std::vector<std::uint64_t> row_keys_;
    std::int64_t steps_done_ = 0;
    double seconds_to_prepare_ = 0;
};

} // namespace petnet::bench
