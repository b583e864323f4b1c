// SPDX-License-Identifier: Apache-2.0
// Plain C++: no CUDA kernels.
#pragma once

#include "kernels/tensor.hpp"

#include <cstddef>
#include <cstdint>
#include <cuda_runtime.h>

namespace petnet::kernels::cuda {

// to[i] = from[i] for `count` elements, of dtype `type` (bf16 or f16) on one side: widened exactly, or
// rounded to nearest. `count` is a multiple of 4; both arrays begin at multiples of 16 bytes and do not
// overlap. Ordered on the stream.
void widen(cudaStream_t stream, dtype type, const std::byte* from, float* to, std::int64_t count);
void round_to(cudaStream_t stream, dtype type, const float* from, std::byte* to, std::int64_t count);

} // namespace petnet::kernels::cuda
