// SPDX-License-Identifier: Apache-2.0
// What a test can ask of the emulated CUDA beyond CUDA's own calls.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <cuda_runtime.h>
#include <functional>
#include <map>
#include <stdexcept>
#include <string>
#include <string_view>

namespace cuda_host {

// A program error found in a launch: a barrier not reached, lanes missing at a warp collective, an exception
// in device code, a grid too large. It leaves the call that ran the launch (or was to queue it); the work
// still queued on all streams is gone.
class kernel_error : public std::runtime_error {
  public:
    using std::runtime_error::runtime_error;
};

// The order in which the blocks of a grid and the threads of a block run between two barriers. `random` draws
// another one for every launch, every block and every barrier from the seed and a count of launches, which
// starts again with this call. The start value is random; the environment variable PETNET_CUDA_HOST_SEED (a
// number, "forward" or "reverse") changes it.
enum class order : std::uint8_t { forward, reverse, random };
void set_schedule(order kind, std::uint64_t seed = 0);

// The call of this name ("cudaMalloc") fails with this error, after `successes` more that do not. Once.
void fail_next(std::string_view call, cudaError_t error, int successes = 0);

// The device: its memory (cudaMalloc fails beyond it), and what the queries say. 0 devices:
// cudaErrorNoDevice.
void set_memory(std::size_t bytes);
void set_properties(const cudaDeviceProp& properties);
void set_device_count(int count);
void set_versions(int driver, int runtime);

// What events measure. The device has a clock of its own, which each operation (launch, copy, ...) moves on
// by the same: what is the fastest does not depend on how busy this machine is.
using device_duration = std::chrono::duration<double, std::milli>;
inline constexpr device_duration time_of_an_operation{1};

// Work for a stream that is no kernel, done (or captured) in its order: stands for what libraries queue. It
// may use device memory, and takes so long on the device's clock.
void enqueue(cudaStream_t stream, std::function<void()> work, device_duration takes = time_of_an_operation);

// Steps (launches, copies, ...) queued on all streams that nothing has waited for.
[[nodiscard]] std::size_t queued();

// What is alive: to find leaks.
struct usage {
    std::size_t device_allocations, device_bytes, pinned_allocations, streams, events, graphs;
    bool operator==(const usage&) const = default;
};
[[nodiscard]] usage in_use();

// How often each call was made since the program began, by its name; failed ones too. Asynchronous copies
// from or to pageable memory, for which CUDA may wait, are counted once more, as `pageable_copy`.
inline constexpr std::string_view pageable_copy = "cudaMemcpyAsync of pageable memory";
using call_counts = std::map<std::string, std::size_t, std::less<>>;
[[nodiscard]] call_counts calls();

// Forgets queued work, injected failures, errors on record, and settings of the device and the schedule.
// Memory, streams and events stay.
void reset();

} // namespace cuda_host
