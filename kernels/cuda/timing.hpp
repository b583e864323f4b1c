// SPDX-License-Identifier: Apache-2.0
// A clock of events on the backend's stream, and an emptied L2 cache.
#pragma once

#include "kernels/cuda/resources.hpp"
#include "kernels/timing.hpp"

#include <cstddef>
#include <memory>

namespace petnet::kernels::cuda {

// `on_stream` outlives it.
[[nodiscard]] std::unique_ptr<stopwatch> make_event_stopwatch(cudaStream_t on_stream);

// Writes over memory of the size of the L2 cache, and so drives out whatever it holds, to the device's memory
// where that is newer.
class cache_eviction {
  public:
    cache_eviction(cudaStream_t on_stream, std::size_t cache_bytes)
        : stream_(on_stream), bytes_(cache_bytes) {}
    void run(); // ordered on the stream

  private:
    cudaStream_t stream_;
    std::size_t bytes_;
    device_buffer scratch_; // from the first run on
};

} // namespace petnet::kernels::cuda
