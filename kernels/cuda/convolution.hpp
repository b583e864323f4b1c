// SPDX-License-Identifier: Apache-2.0
// Convolutions on `cuda`, behind an interface so that cuDNN is included by few translation units and the
// tests can run everything else without a GPU.
#pragma once

#include "kernels/backend.hpp"

#include <cstddef>
#include <cuda_runtime.h>
#include <functional>
#include <memory>
#include <string>

namespace petnet::kernels::cuda {

// The last two bring the sums that the batch norm beside them needs, of the values that they write:
// forward_and_sums: sum(y) and sum(y^2) of each channel, for the statistics of batch_norm_forward.
// backward_data_and_sums: dx is cut where the ReLU after a batch norm was, and comes with sum(dx) and
// sum(dx*xhat), for the gradients of batch_norm_backward.
enum class convolution_kind : std::uint8_t {
    forward,
    backward_data,
    backward_weights,
    forward_and_sums,
    backward_data_and_sums
};

// One convolution over stored tensors: NHWC activations and KRSC weights whose channel counts are the padded
// ones (layout.hpp). Activations (and with them weights) are of dtype `activations`, the weight gradient is
// float32, and so are sums.
struct stored_convolution {
    convolution_kind kind;
    convolution_shape shape; // channels as stored
    dtype activations;
    // x is read through the batch norm and ReLU before it: relu(scale*x + shift) is what is convolved. Of
    // forward_and_sums and backward_weights.
    bool through_norm = false;
    bool operator==(const stored_convolution&) const = default;
};
// "forward 32x64x56x56 to 64 by 3x3, stride 1, padding 1, bf16": differs where the problems differ.
[[nodiscard]] std::string text_of(const stored_convolution& problem);

// Addresses of one execution.
struct convolution_operands {
    // forward: x, w, y; backward_data: dy, w, dx; backward_weights: x, dy, dw (float32).
    const std::byte *a = nullptr, *b = nullptr;
    std::byte* result = nullptr;

    // Of the kinds with sums: f32 (rows_of_sums, channels of the result), the two sums first.
    float* sums = nullptr;
    // Of backward_data_and_sums: what the batch norm normalised, and f32 (channels) of it: g passes where
    // (normalised - mean) * inverse_deviation * gamma + beta > 0.
    const std::byte* normalised = nullptr;
    const float *mean = nullptr, *inverse_deviation = nullptr, *gamma = nullptr, *beta = nullptr;

    // Of those that read through a batch norm: f32 (2, channels of x), scale and shift; channels as stored.
    const std::byte* scale_and_shift = nullptr;
};
// (cuDNN writes three rows of coefficients behind the sums of a backward pass, in float32; nobody reads
// them.)
[[nodiscard]] constexpr int rows_of_sums(convolution_kind kind) noexcept {
    return kind == convolution_kind::backward_data_and_sums ? 5
           : kind == convolution_kind::forward_and_sums     ? 2
                                                            : 0;
}

// A plan for one problem; its addresses come with each execution. Shared by equal layers.
class convolution_plan {
  public:
    convolution_plan() = default;
    convolution_plan(const convolution_plan&) = delete;
    convolution_plan& operator=(const convolution_plan&) = delete;
    virtual ~convolution_plan() = default;
    [[nodiscard]] virtual std::size_t workspace_bytes() const = 0;
    // May be captured into a CUDA graph.
    virtual void execute(const convolution_operands& on, std::byte* workspace, cudaStream_t stream) = 0;
};

// A convolution with sums and the rest of its batch norm, against the same two operations done separately.
class pair_trial {
  public:
    pair_trial() = default;
    pair_trial(const pair_trial&) = delete;
    pair_trial& operator=(const pair_trial&) = delete;
    virtual ~pair_trial() = default;
    // Whether what the pair writes is the same by this plan, within limits (pair_trial.cpp).
    [[nodiscard]] virtual bool agrees(const std::shared_ptr<convolution_plan>& plan) = 0;
    // Of the pair by this plan, or separately (nullptr). Infinity: it does not work.
    [[nodiscard]] virtual double milliseconds(const std::shared_ptr<convolution_plan>& plan) = 0;
};

// A part of a step in two ways.
class alternative_trial {
  public:
    alternative_trial() = default;
    alternative_trial(const alternative_trial&) = delete;
    alternative_trial& operator=(const alternative_trial&) = delete;
    virtual ~alternative_trial() = default;
    // Whether both write the same, within limits (through_norm.cpp).
    [[nodiscard]] virtual bool agrees() = 0;
    [[nodiscard]] virtual double milliseconds(bool alternative) = 0; // infinity: it does not work
};

class convolutions {
  public:
    convolutions() = default;
    convolutions(const convolutions&) = delete;
    convolutions& operator=(const convolutions&) = delete;
    virtual ~convolutions() = default;
    // environment_error where no algorithm can do it on this device; nullptr where none can read through a
    // batch norm, or nothing may be fused.
    [[nodiscard]] virtual std::shared_ptr<convolution_plan> plan(const stored_convolution& problem) = 0;
    // Whether there is any plan for a problem with sums or through a batch norm.
    [[nodiscard]] virtual bool can_fuse(const stored_convolution& problem) = 0;
    // The plan of a kind with sums that the pair is to be done by; nullptr where it is to be done separately:
    // there is no plan, or none agrees, or none is faster. `pair` names the pair (one line): equal pairs get
    // the same. `make_trial` returns nullptr where the device has not the memory for one.
    [[nodiscard]] virtual std::shared_ptr<convolution_plan>
    plan_of_pair(const stored_convolution& problem, const std::string& pair,
                 const std::function<std::unique_ptr<pair_trial>()>& make_trial) = 0;
    // Whether a part of a step is to be done in another way than usual: it gives the same, and is faster.
    // `ways` names both (one line), as `pair` above; `make_trial` returns nullptr where the alternative
    // cannot be done or tried.
    [[nodiscard]] virtual bool
    takes_alternative(const std::string& ways,
                      const std::function<std::unique_ptr<alternative_trial>()>& make_trial) = 0;
    // Plans from now on need less workspace; false where they cannot (backend::reduce_workspaces).
    [[nodiscard]] virtual bool reduce_workspaces() = 0;
    [[nodiscard]] virtual std::string description() const = 0; // "cuDNN 9.19.0", for device() and doctor
};

// What `convolutions` sees of an operation on views: the problem, with `kind`, and the addresses of a, b and
// result.
struct stored_operation {
    stored_convolution problem;
    convolution_operands on;
};
// std::logic_error where the weights are not of the layout that the activations want. Where an operation
// has `saved`, it reads through a batch norm.
[[nodiscard]] stored_operation stored(const convolution_forward& op,
                                      convolution_kind kind = convolution_kind::forward);
[[nodiscard]] stored_operation stored(const convolution_backward_data& op,
                                      convolution_kind kind = convolution_kind::backward_data);
[[nodiscard]] stored_operation stored(const convolution_backward_weights& op);

// By cuDNN. The stream outlives it. environment_error where cuDNN cannot be loaded.
[[nodiscard]] std::unique_ptr<convolutions> make_convolutions(cudaStream_t on_stream,
                                                              const backend_options& options);
// Why that would fail; empty where it would not.
[[nodiscard]] std::string why_no_convolutions();

} // namespace petnet::kernels::cuda
