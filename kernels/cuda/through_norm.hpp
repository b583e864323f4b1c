// SPDX-License-Identifier: Apache-2.0
// Whether a block of the network is faster where its second convolution reads its input through the batch
// norm before it, so that this tensor is neither written nor read.
//
//   usual        batch norm with ReLU writes a | convolution of a | batch norm | gradient of the weights
//   alternative  the batch norm's statistics alone | the same, of x through scale and shift
//
// docs/architecture.md says on which devices and in which precision cuDNN has such graphs.
#pragma once

#include "kernels/cuda/context.hpp"
#include "kernels/cuda/convolution.hpp"

#include <memory>

namespace petnet::kernels::cuda {

// backend::reads_through_norm.
[[nodiscard]] bool reads_through_norm(context& cuda, const convolution_shape& shape, dtype activations,
                                      bool trains);

// Both ways, on tensors of their own. nullptr where the device has not the memory.
[[nodiscard]] std::unique_ptr<alternative_trial>
make_trial_through_norm(context& cuda, const convolution_shape& shape, dtype activations, bool trains);

} // namespace petnet::kernels::cuda
