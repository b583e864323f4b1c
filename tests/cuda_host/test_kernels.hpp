// SPDX-License-Identifier: Apache-2.0
// Helpers of the emulation's own tests.
#pragma once

#include "tests/cuda_host/include/cuda_host/control.hpp"

#include <cuda_runtime.h>
#include <gtest/gtest.h>
#include <utility>

namespace cuda_host {

template <class... Parameters, class... Arguments>
cudaError_t start(cudaStream_t stream, dim3 grid, dim3 block, void (*kernel)(Parameters...),
                  Arguments&&... arguments) {
    cudaLaunchConfig_t config{};
    config.gridDim = grid;
    config.blockDim = block;
    config.stream = stream;
    return cudaLaunchKernelEx(&config, kernel, std::forward<Arguments>(arguments)...);
}
// On the default stream, to the end.
template <class... Parameters, class... Arguments>
void run(dim3 grid, dim3 block, void (*kernel)(Parameters...), Arguments&&... arguments) {
    ASSERT_EQ(start(nullptr, grid, block, kernel, std::forward<Arguments>(arguments)...), cudaSuccess);
    ASSERT_EQ(cudaDeviceSynchronize(), cudaSuccess);
}

// A test that leaves nothing behind.
class cuda_test : public testing::Test {
  protected:
    void SetUp() override { reset(); }
    void TearDown() override {
        reset();
        EXPECT_EQ(in_use(), before_);
    }

  private:
    usage before_ = in_use();
};

} // namespace cuda_host
