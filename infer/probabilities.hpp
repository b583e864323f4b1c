// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <span>
#include <vector>

namespace petnet::infer {

// softmax: exp(logits[c]) / sum over k of exp(logits[k]), the maximum subtracted first. At least one logit.
[[nodiscard]] std::vector<double> probabilities_of(std::span<const float> logits);

// The index of the first maximum, as softmax_cross_entropy's predictions (kernels/ops.hpp).
[[nodiscard]] std::size_t label_of(std::span<const float> logits);

} // namespace petnet::infer
