// SPDX-License-Identifier: Apache-2.0
// What the launchers of this folder share: checked launches, operations from functions, addresses of views.
#pragma once

#include "kernels/cuda/error.hpp"
#include "kernels/cuda/layout.hpp"
#include "kernels/function_operation.hpp"

#include <cuda_runtime.h>

namespace petnet::kernels::cuda {

// The elements of a view; nullptr where it is absent.
template <class Element> [[nodiscard]] Element* elements(const tensor_view& view) noexcept {
    return reinterpret_cast<Element*>(view.data);
}

// kernel<<<grid, block, 0, stream>>>(arguments...), as a call: the same source compiles without nvcc for the
// tests. environment_error where the launch fails.
template <class... Parameters, class... Arguments>
void launch(cudaStream_t stream, dim3 grid, dim3 block, void (*kernel)(Parameters...),
            const Arguments&... arguments) {
    cudaLaunchConfig_t config{};
    config.gridDim = grid;
    config.blockDim = block;
    config.stream = stream;
    check(cudaLaunchKernelEx(&config, kernel, Parameters(arguments)...), "launching a kernel");
}

} // namespace petnet::kernels::cuda
