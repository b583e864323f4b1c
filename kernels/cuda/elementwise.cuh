// SPDX-License-Identifier: Apache-2.0
// One thread for each item of a tensor (an element, a pack, a pixel): grid and index.
#pragma once

#include "kernels/cuda/launch.hpp"

#include <cstdint>
#include <cuda_runtime.h>
#include <limits>
#include <stdexcept>

namespace petnet::kernels::cuda {

inline constexpr unsigned elementwise_block = 256;

// Items are numbered in 32 bits: a 64-bit division costs several times as much as a 32-bit one, and 2^31
// packs of 16 bytes are more than a device holds. std::logic_error where there are more.
[[nodiscard]] inline dim3 elementwise_grid(std::int64_t items) {
    if (items < 1 || items > std::numeric_limits<std::int32_t>::max())
        throw std::logic_error("a launch has 1 to 2^31-1 items; got " + std::to_string(items));
    return dim3(static_cast<unsigned>(divide_up(items, elementwise_block)));
}

// The thread's item. The last block's threads past the number of items have none.
[[nodiscard]] __device__ inline unsigned item_of_thread() {
    return blockIdx.x * elementwise_block + threadIdx.x;
}

} // namespace petnet::kernels::cuda
