// SPDX-License-Identifier: Apache-2.0
// A fused pair tried out on the device, beside the two operations done separately: see pair_trial in
// convolution.hpp.
#pragma once

#include "kernels/cuda/context.hpp"
#include "kernels/cuda/convolution.hpp"

#include <memory>

namespace petnet::kernels::cuda {

// On tensors of its own, shaped as those of a pair that fuse() takes (fused_pairs.hpp). nullptr where the
// device has not the memory. Takes the best plan there is for the separate convolution.
[[nodiscard]] std::unique_ptr<pair_trial> make_pair_trial(context& cuda, const operation_params& first,
                                                          const operation_params& second);

} // namespace petnet::kernels::cuda
