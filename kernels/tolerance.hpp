// SPDX-License-Identifier: Apache-2.0
// How far a right result may be from the exact one: what conformance tests, check:A,B and benches judge by.
#pragma once

#include "kernels/ops.hpp"

#include <span>

namespace petnet::kernels {

// Of a floating-point tensor that the operation writes, in units of the tensor's largest value (or of
// scale_of_terms, where that is larger). `written`: the tensor's dtype.
[[nodiscard]] double tolerance_of(const operation_params& op, dtype written);

// What the operation's results may have been rounded to before they were stored as `written`: a gradient of
// convolution weights, always stored in f32, to its inputs' dtype.
[[nodiscard]] dtype rounded_to(const operation_params& op, dtype written);

// The size of the terms of batch_norm_backward's dx, which may cancel in it: where M is small, dx is the
// small difference of scale * dy and its projections. `saved`: the values of its operand (4, channels).
[[nodiscard]] double scale_of_terms(const batch_norm_backward& op, std::span<const double> saved);

// Whether the operation takes decisions from values that it rounds itself, where two right answers may differ
// entirely: the ReLU cut that batch_norm_backward recomputes, and which of two equal values was a maximum.
[[nodiscard]] bool decides(const operation_params& op);

} // namespace petnet::kernels
