// SPDX-License-Identifier: Apache-2.0
// Two neighbouring operations of a step as one: a convolution and the batch norm beside it, whose sums cuDNN
// computes while it writes the tensor, so that the batch norm reads it once less.
//
//   convolution_forward, batch_norm_forward of its y
//       cuDNN: y, sum(y), sum(y^2) | our kernels: statistics, application
//   convolution_backward_data, batch_norm_backward of its dx alone, with a ReLU that was cut by x
//       cuDNN: dx, cut, its sums   | our kernels: gradients of gamma and beta, dx through the batch norm
//
// docs/architecture.md says on which devices and in which precision cuDNN has such graphs.
#pragma once

#include "kernels/cuda/context.hpp"
#include "kernels/cuda/convolution.hpp"

#include <memory>
#include <optional>

namespace petnet::kernels::cuda {

// nullptr where the two are no such pair, or are to be done separately (convolutions::plan_of_pair). Both
// have passed check_contract and the backend's check of layouts.
[[nodiscard]] std::unique_ptr<operation> prepare_pair(context& cuda, const operation_params& first,
                                                      const operation_params& second);

// The kind of convolution with sums that does the two together; no value where they are no such pair.
[[nodiscard]] std::optional<stored_convolution> problem_of_pair(const operation_params& first,
                                                                const operation_params& second);

// The pair by a plan for problem_of_pair().
[[nodiscard]] std::unique_ptr<operation> fuse(cudaStream_t on_stream, const operation_params& first,
                                              const operation_params& second,
                                              std::shared_ptr<convolution_plan> plan);

} // namespace petnet::kernels::cuda
