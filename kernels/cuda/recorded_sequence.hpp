// SPDX-License-Identifier: Apache-2.0
// Operations that are launched as one CUDA graph.
#pragma once

#include "kernels/backend.hpp"

#include <cuda_runtime.h>
#include <memory>
#include <vector>

namespace petnet::kernels::cuda {

// The first execution launches one by one (libraries set themselves up on their first call, which may not be
// recorded), the second records and launches the graph, later ones launch it: a step of some 250 kernels then
// costs the host one call. The stream outlives it.
[[nodiscard]] std::unique_ptr<operation> make_recorded_sequence(cudaStream_t on,
                                                                std::vector<operation*> operations);

} // namespace petnet::kernels::cuda
