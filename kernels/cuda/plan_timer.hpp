// SPDX-License-Identifier: Apache-2.0
// How long a plan takes on the device: memory for one problem, filled as tensors are, and a clock.
#pragma once

#include "kernels/cuda/convolution.hpp"
#include "kernels/cuda/device_clock.hpp"
#include "kernels/cuda/resources.hpp"

#include <cstddef>
#include <functional>
#include <memory>

namespace petnet::kernels::cuda {

class plan_timer {
  public:
    // Memory for the problem's tensors (all in the dtype of the activations) and a workspace, the
    // inputs filled with numbers. nullptr where the device has not the memory.
    [[nodiscard]] static std::unique_ptr<plan_timer>
    make(cudaStream_t on_stream, const stored_convolution& problem, std::size_t workspace_bytes);

    // As device_clock's, of run(operands, workspace).
    [[nodiscard]] double
    milliseconds(const std::function<void(const convolution_operands&, std::byte* workspace)>& run);

  private:
    plan_timer(cudaStream_t on_stream, device_buffer a, device_buffer b, device_buffer scale_and_shift,
               device_buffer result, device_buffer workspace);

    device_clock clock_;
    device_buffer a_, b_, scale_and_shift_, result_, workspace_;
};

} // namespace petnet::kernels::cuda
