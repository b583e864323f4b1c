// SPDX-License-Identifier: Apache-2.0
// How a larger square becomes the network's image, as a matrix.
#pragma once

#include <cstdint>
#include <vector>

namespace petnet::exporting {

// f32 (out, in), row-major: with A = sampling_matrix(in, out), y = A p A^T is what sampled_photo_to_tensor
// (kernels/ops.hpp) makes of a square p (in, in) without transforms: averaging and the bilinear sample, which
// both work on one axis at a time. out <= in.
[[nodiscard]] std::vector<float> sampling_matrix(std::int64_t in, std::int64_t out);

} // namespace petnet::exporting
