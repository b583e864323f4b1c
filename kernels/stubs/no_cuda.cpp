// SPDX-License-Identifier: Apache-2.0
// Stands in for kernels/cuda where the CUDA toolkit was not found at configure time.
#include "base/errors.hpp"
#include "kernels/cuda/cuda_backend.hpp"

namespace petnet::kernels {

backend_status cuda_backend_status() {
    return {.name = "cuda", .text = "not in this build: see what is switched off", .available = false};
}

std::unique_ptr<backend> make_cuda_backend(const backend_options&) {
    throw environment_error("the backend cuda is " + cuda_backend_status().text);
}

} // namespace petnet::kernels
