// SPDX-License-Identifier: Apache-2.0
// The rest of a batch norm whose sums over the tensor another kernel has computed on the way: that of the
// convolution beside it (fused_pairs.cpp). Plain C++: no CUDA kernels.
#pragma once

#include "kernels/ops.hpp"

#include <cuda_runtime.h>

namespace petnet::kernels::cuda {

// Statistics and y of an activation op.x. sums: f32 (2, stored channels), sum(x) and sum(x^2).
//
// Error: with both sums off by a part e of the sum of their terms' magnitudes, a channel's variance is off by
// at most e*(1 + 3r) of itself, r = mean^2/variance, and its scale by half of that. e is some 2^-20 for the
// longest sums of ResNet-34 in float32 (2^-24 * sqrt(terms of a partial sum)). Rounding x to float16 has
// moved it by 2^-12*sqrt(r) deviations: more than that, as long as r is below 3000.
void finish_from_sums(cudaStream_t on_stream, const batch_norm_forward& op, const float* sums);

// dgamma, dbeta and dx, where op.dy already holds the gradient g with ReLU's cut. sums: f32 (2, channels),
// sum(g) and sum(g*xhat). coefficients: room for f32 (2, channels).
void finish_from_sums(cudaStream_t on_stream, const batch_norm_backward& op, const float* sums,
                      float* coefficients);

// y = relu(scale*x + shift), rows 2 and 3 of `saved`; stored as x is.
void apply_saved(cudaStream_t on_stream, const tensor_view& x, const tensor_view& saved, std::byte* y);

// beta[c], which `saved` has only in its shift: shift + mean*scale, rounded once more.
void restore_beta(cudaStream_t on_stream, const tensor_view& saved, float* beta);

} // namespace petnet::kernels::cuda
