// SPDX-License-Identifier: Apache-2.0
// Tensors for trying out two ways to do a part of a step: every one that is read exists once, every one that
// is written twice, so that both results can be compared.
//
// Activations and weights are normal numbers, gamma and beta too. Where a batch norm's `saved` is read, it
// and gamma are such that the normalised values are exact in float32 in any order of the arithmetic and never
// 0: both ways cut at the same elements, or one of them is wrong. Outputs start as NaN, so that what is not
// written is noticed.
#pragma once

#include "kernels/cuda/resources.hpp"
#include "kernels/ops.hpp"

#include <cstddef>
#include <cstdint>
#include <cuda_runtime.h>
#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace petnet::kernels::cuda {

enum class way : std::uint8_t { usual, alternative };

struct trial_tensor {
    std::string name; // of ops.cpp
    tensor_desc desc;
    access kind;
    // Of what is written: how far the alternative may be from the usual way, in roundings of the activations'
    // format of the tensor's largest value. Absent: one way alone writes it, and nothing is compared.
    std::optional<double> limit{};
};

class trial_tensors {
  public:
    // mean_of_x: a forward convolution of values around 0 would have channels around 0, whose statistics
    // cancel.
    trial_tensors(cudaStream_t on_stream, dtype activations, double mean_of_x)
        : stream_(on_stream), activations_(activations), mean_of_x_(mean_of_x) {}

    // The tensor's number. Memory comes with allocate(): false where the device has not that much. Before, an
    // address only tells tensors apart.
    std::size_t add(trial_tensor tensor);
    [[nodiscard]] bool allocate();
    [[nodiscard]] std::byte* address(std::size_t number, way side) const;

    // A workspace for either way; false where there is no memory for it: then the one before stays.
    [[nodiscard]] bool have_workspace(std::size_t bytes);
    [[nodiscard]] std::byte* workspace() const { return workspace_.get(); }

    void fill_inputs();
    // Poison, and where a tensor is updated, numbers.
    void fill_outputs(way side);
    // Whether all that both have written agrees.
    [[nodiscard]] bool agree() const;

  private:
    struct placed_tensor {
        trial_tensor tensor;
        device_buffer first, second;       // `second` of what both ways write
        std::unique_ptr<std::byte> before; // what the address is of until then
    };
    [[nodiscard]] bool agrees(const placed_tensor& placed) const;

    cudaStream_t stream_;
    dtype activations_;
    double mean_of_x_;
    std::vector<placed_tensor> tensors_;
    device_buffer workspace_;
    std::size_t workspace_bytes_ = 0;
};

} // namespace petnet::kernels::cuda
