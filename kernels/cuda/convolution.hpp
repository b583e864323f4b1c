// SPDX-License-Identifier: Apache-2.0
// Convolutions on `cuda`, behind an interface so that cuDNN is included by few translation units and the
// tests can run everything else without a GPU.
#pragma once

#include "kernels/backend.hpp"

#include <cstddef>
#include <cuda_runtime.h>
#include <memory>

namespace petnet::kernels::cuda {

enum class convolution_kind : std::uint8_t { forward, backward_data, backward_weights };

// One convolution over stored tensors: NHWC activations and KRSC weights whose channel counts are the padded
// ones (layout.hpp). Activations (and with them weights) are of dtype `activations`, the weight gradient is
// float32.
struct stored_convolution {
    convolution_kind kind;
    convolution_shape shape; // channels as stored
    dtype activations;
    bool operator==(const stored_convolution&) const = default;
};
// "forward 32x64x56x56 to 64 by 3x3, stride 1, padding 1, bf16": differs where the problems differ.
[[nodiscard]] std::string text_of(const stored_convolution& problem);

// A plan for one problem; its addresses come with each execution. Shared by equal layers.
class convolution_plan {
  public:
    convolution_plan() = default;
    convolution_plan(const convolution_plan&) = delete;
    convolution_plan& operator=(const convolution_plan&) = delete;
    virtual ~convolution_plan() = default;
    [[nodiscard]] virtual std::size_t workspace_bytes() const = 0;
    // forward: a = x, b = w, result = y; backward_data: a = dy, b = w, result = dx;
    // backward_weights: a = x, b = dy, result = dw (float32). May be captured into a CUDA graph.
    virtual void execute(const std::byte* a, const std::byte* b, std::byte* result, std::byte* workspace,
                         cudaStream_t stream) = 0;
};

class convolutions {
  public:
    convolutions() = default;
    convolutions(const convolutions&) = delete;
    convolutions& operator=(const convolutions&) = delete;
    virtual ~convolutions() = default;
    // environment_error where no algorithm can do it on this device.
    [[nodiscard]] virtual std::shared_ptr<convolution_plan> plan(const stored_convolution& problem) = 0;
    [[nodiscard]] virtual std::string description() const = 0; // "cuDNN 9.19.0", for device() and doctor
};

// By cuDNN. The stream outlives it. environment_error where cuDNN cannot be loaded.
[[nodiscard]] std::unique_ptr<convolutions> make_convolutions(cudaStream_t on_stream,
                                                              const backend_options& options);
// Why that would fail; empty where it would not.
[[nodiscard]] std::string why_no_convolutions();

} // namespace petnet::kernels::cuda
