// SPDX-License-Identifier: Apache-2.0
// What the launchers of this folder share: checked launches, operations from functions, addresses of views.
#pragma once

#include "kernels/backend.hpp"
#include "kernels/cuda/error.hpp"
#include "kernels/cuda/layout.hpp"

#include <cstddef>
#include <cuda_runtime.h>
#include <memory>
#include <utility>

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

// An operation from a function of its workspace.
template <class Run> class launcher final : public operation {
  public:
    launcher(std::size_t workspace_bytes, Run run)
        : workspace_bytes_(workspace_bytes), run_(std::move(run)) {}
    [[nodiscard]] std::size_t workspace_bytes() const override { return workspace_bytes_; }
    void execute(std::byte* workspace) override { run_(workspace); }

  private:
    std::size_t workspace_bytes_;
    Run run_;
};
template <class Run>
[[nodiscard]] std::unique_ptr<operation> make_operation(std::size_t workspace_bytes, Run run) {
    return std::make_unique<launcher<Run>>(workspace_bytes, std::move(run));
}

} // namespace petnet::kernels::cuda
