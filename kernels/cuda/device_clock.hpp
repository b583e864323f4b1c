// SPDX-License-Identifier: Apache-2.0
// How long work takes on the device.
#pragma once

#include "kernels/cuda/resources.hpp"

#include <functional>

namespace petnet::kernels::cuda {

class device_clock {
  public:
    explicit device_clock(cudaStream_t on_stream); // outlives the clock

    // Of one `run`, which orders its work on the stream; the mean of several where one is short. Infinity
    // where `run` throws environment_error; a fault of the device is thrown on.
    [[nodiscard]] double milliseconds(const std::function<void()>& run);

  private:
    [[nodiscard]] double elapsed(const std::function<void()>& run, int times);

    cudaStream_t stream_;
    event begin_, end_;
};

} // namespace petnet::kernels::cuda
