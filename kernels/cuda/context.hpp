// SPDX-License-Identifier: Apache-2.0
// What every operation of the cuda backend needs: the stream, and how convolutions are done.
#pragma once

#include "kernels/backend.hpp"

#include <cuda_runtime.h>
#include <memory>

namespace petnet::kernels::cuda {

class convolutions; // cuDNN: convolution.hpp

class context {
  public:
    // `stream` and `convolve` outlive the context.
    context(cudaStream_t stream, convolutions& convolve) : stream_(stream), convolve_(convolve) {}

    // All work of the backend is ordered on this stream. (Not the default stream: that one waits for others.)
    [[nodiscard]] cudaStream_t stream() const noexcept { return stream_; }
    [[nodiscard]] convolutions& convolve() const noexcept { return convolve_; }

  private:
    cudaStream_t stream_;
    convolutions& convolve_;
};

// One factory per family, of parameters that have passed check_contract and the backend's check of layouts;
// each takes a copy of the parameters. Choices (grid, block, kernel) depend on shapes and dtypes only, never
// on the device or on addresses: same inputs, same bits.
[[nodiscard]] std::unique_ptr<operation> prepare(context& cuda, const cut_photographs& op);
[[nodiscard]] std::unique_ptr<operation> prepare(context& cuda, const photo_to_tensor& op);
[[nodiscard]] std::unique_ptr<operation> prepare(context& cuda, const sampled_photo_to_tensor& op);
[[nodiscard]] std::unique_ptr<operation> prepare(context& cuda, const convolution_forward& op);
[[nodiscard]] std::unique_ptr<operation> prepare(context& cuda, const convolution_backward_data& op);
[[nodiscard]] std::unique_ptr<operation> prepare(context& cuda, const convolution_backward_weights& op);
[[nodiscard]] std::unique_ptr<operation> prepare(context& cuda, const batch_norm_forward& op);
[[nodiscard]] std::unique_ptr<operation> prepare(context& cuda, const batch_norm_inference& op);
[[nodiscard]] std::unique_ptr<operation> prepare(context& cuda, const batch_norm_backward& op);
[[nodiscard]] std::unique_ptr<operation> prepare(context& cuda, const max_pool_forward& op);
[[nodiscard]] std::unique_ptr<operation> prepare(context& cuda, const max_pool_backward& op);
[[nodiscard]] std::unique_ptr<operation> prepare(context& cuda, const concat_pool_forward& op);
[[nodiscard]] std::unique_ptr<operation> prepare(context& cuda, const concat_pool_backward& op);
[[nodiscard]] std::unique_ptr<operation> prepare(context& cuda, const linear_forward& op);
[[nodiscard]] std::unique_ptr<operation> prepare(context& cuda, const linear_backward& op);
[[nodiscard]] std::unique_ptr<operation> prepare(context& cuda, const dropout& op);
[[nodiscard]] std::unique_ptr<operation> prepare(context& cuda, const softmax_cross_entropy& op);
[[nodiscard]] std::unique_ptr<operation> prepare(context& cuda, const loss_scale_update& op);
[[nodiscard]] std::unique_ptr<operation> prepare(context& cuda, const adam_step& op);

} // namespace petnet::kernels::cuda
