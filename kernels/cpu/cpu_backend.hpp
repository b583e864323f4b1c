// SPDX-License-Identifier: Apache-2.0
// The CPU backend: oneDNN and our own loops. Linked from stubs/no_cpu.cpp where oneDNN was not found.
#pragma once

#include "kernels/backend.hpp"

#include <memory>

namespace petnet::kernels {

// environment_error where this build has no CPU backend.
[[nodiscard]] std::unique_ptr<backend> make_cpu_backend(const backend_options& options);
[[nodiscard]] backend_status cpu_backend_status();

} // namespace petnet::kernels
