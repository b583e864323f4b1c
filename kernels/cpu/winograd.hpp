// SPDX-License-Identifier: Apache-2.0
// 3x3 convolutions of stride 1 in f32 by Winograd's algorithm (winograd_loops.hpp), where that is faster than
// oneDNN's direct one.
#pragma once

#include "kernels/cpu/context.hpp"

namespace petnet::kernels::cpu {

// Whether the weights lie in the layout that is read here, (3, 3, in, out). Of a shape's batch and extents,
// which may differ between convolutions with the same weights, nothing is asked.
[[nodiscard]] bool winograd_weights(const convolution_shape& shape, dtype activations);
// Whether convolutions of this shape are made here on this processor: a rule, not a measurement, so that the
// same bits come out each time.
[[nodiscard]] bool winograd_applies(const convolution_shape& shape, dtype activations);

[[nodiscard]] std::unique_ptr<operation> prepare_winograd(const context& cpu, const convolution_forward& op);
[[nodiscard]] std::unique_ptr<operation> prepare_winograd(const context& cpu,
                                                          const convolution_backward_data& op);
[[nodiscard]] std::unique_ptr<operation> prepare_winograd(const context& cpu,
                                                          const convolution_backward_weights& op);

} // namespace petnet::kernels::cpu
