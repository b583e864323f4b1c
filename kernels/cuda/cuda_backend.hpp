// SPDX-License-Identifier: Apache-2.0
// The CUDA backend. Linked from stubs/no_cuda.cpp where it is not built.
#pragma once

#include "kernels/backend.hpp"

#include <memory>

namespace petnet::kernels {

// environment_error where this build has no CUDA backend or this machine no usable device.
[[nodiscard]] std::unique_ptr<backend> make_cuda_backend(const backend_options& options);
[[nodiscard]] backend_status cuda_backend_status();

} // namespace petnet::kernels
