// SPDX-License-Identifier: Apache-2.0
// Errors of the CUDA runtime in plain words.
#pragma once

#include <cuda_runtime.h>
#include <string>
#include <string_view>

namespace petnet::kernels::cuda {

// What an error means for the user, and what to do: "no NVIDIA GPU was found".
[[nodiscard]] std::string in_plain_words(cudaError_t result);

// environment_error, saying what was being done and what the user can do about it, unless `result` is
// cudaSuccess. Takes the error off the runtime's record, so that no later call reports it again.
void check(cudaError_t result, std::string_view doing);

} // namespace petnet::kernels::cuda
