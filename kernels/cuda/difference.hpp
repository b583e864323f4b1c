// SPDX-License-Identifier: Apache-2.0
// How far two tensors of the device are apart. Plain C++: no CUDA kernels.
#pragma once

#include "kernels/tensor.hpp"

#include <cstddef>
#include <cstdint>
#include <cuda_runtime.h>

namespace petnet::kernels::cuda {

struct difference {
    float largest;           // |a[i] - b[i]|; infinity where one of the two is infinite or NaN
    float largest_magnitude; // |a[i]|
};

// Of `count` elements of a floating dtype. Waits for the stream; environment_error where the device has not a
// few kilobytes of memory.
[[nodiscard]] difference difference_of(cudaStream_t on_stream, dtype type, const std::byte* a,
                                       const std::byte* b, std::int64_t count);

} // namespace petnet::kernels::cuda
