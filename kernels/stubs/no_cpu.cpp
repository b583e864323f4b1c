// SPDX-License-Identifier: Apache-2.0
// Stands in for kernels/cpu where oneDNN was not found at configure time.
#include "base/errors.hpp"
#include "kernels/cpu/cpu_backend.hpp"

namespace petnet::kernels {

backend_status cpu_backend_status() {
    return {.name = "cpu", .text = "not in this build: oneDNN or OpenMP was not found", .available = false};
}

std::unique_ptr<backend> make_cpu_backend(const backend_options&) {
    throw environment_error("the backend cpu is " + cpu_backend_status().text);
}

} // namespace petnet::kernels
