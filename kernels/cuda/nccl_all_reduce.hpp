// SPDX-License-Identifier: Apache-2.0
// Means over processes with a GPU each, by NCCL.
#pragma once

#include "kernels/all_reduce.hpp"

#include <cuda_runtime.h>
#include <memory>

namespace petnet::kernels::cuda {

// `compute`: the stream of the operations, which outlives it. The means are made on a stream of their own,
// so that they overlap with what is executed meanwhile; begin() and finish() may be recorded in a graph.
// environment_error where NCCL is missing or the processes do not find each other.
[[nodiscard]] std::unique_ptr<all_reduce> make_nccl_all_reduce(cudaStream_t compute,
                                                               const process_group& processes);

} // namespace petnet::kernels::cuda
