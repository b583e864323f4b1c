// SPDX-License-Identifier: Apache-2.0
// Memory for trying something out on the device, filled as tensors are.
#pragma once

#include "kernels/cuda/resources.hpp"
#include "kernels/tensor.hpp"

#include <cstddef>
#include <cstdint>

namespace petnet::kernels::cuda {

// Normal random numbers of deviation 1 around `mean`, 65,536 of them again and again, others for another key:
// zeros take less power than data does, and so less time. Waits until they are there.
void fill_with_numbers(cudaStream_t on_stream, dtype type, std::byte* to, std::size_t bytes,
                       std::uint64_t key = 1, double mean = 0);

} // namespace petnet::kernels::cuda
