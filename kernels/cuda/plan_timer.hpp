// SPDX-License-Identifier: Apache-2.0
// How long a plan takes on the device: memory for one problem, filled as tensors are, and a clock.
#pragma once

#include "kernels/cuda/convolution.hpp"
#include "kernels/cuda/resources.hpp"

#include <cstddef>
#include <functional>
#include <memory>

namespace petnet::kernels::cuda {

class plan_timer {
  public:
    // Memory for the problem's tensors (the result in the dtype of the activations) and a workspace. Inputs
    // are normal random numbers: zeros take less power than data does, and so less time. nullptr where the
    // device has not the memory.
    [[nodiscard]] static std::unique_ptr<plan_timer>
    make(cudaStream_t on_stream, const stored_convolution& problem, std::size_t workspace_bytes);

    struct operands {
        const std::byte *a, *b;
        std::byte *result, *workspace;
    };
    // Of one `run`, which orders its work on the stream; the mean of several where one is short. Infinity
    // where `run` throws environment_error; a fault of the device is thrown on.
    [[nodiscard]] double milliseconds(const std::function<void(const operands&)>& run);

  private:
    plan_timer(cudaStream_t on_stream, device_buffer a, device_buffer b, device_buffer result,
               device_buffer workspace);
    [[nodiscard]] double elapsed(const std::function<void(const operands&)>& run, int times);

    cudaStream_t stream_;
    device_buffer a_, b_, result_, workspace_;
    event begin_, end_;
};

} // namespace petnet::kernels::cuda
