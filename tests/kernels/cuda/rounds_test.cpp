// SPDX-License-Identifier: Apache-2.0
// Batch norms of so many rows that each loop over blocks makes more than one round, which the shapes of the
// conformance tests, for all backends, are too small for. Our kernels on the host's emulation of CUDA.
#include "kernels/cuda/batch_norm.hpp"
#include "tests/kernels/conformance.hpp"

#include <gtest/gtest.h>

#include <vector>

namespace petnet::testing {
namespace {

// Numbers between -1 and 1.
std::vector<double> numbers(std::int64_t count, std::int64_t factor) {
    std::vector<double> values(static_cast<std::size_t>(count));
    for (std::size_t i = 0; i < values.size(); ++i)
        values[i] =
            static_cast<double>(static_cast<std::int64_t>(i) * factor % 127 - 63) / 64; // exact in 16 bits
    return values;
}

TEST(cuda_rounds, of_batch_norm_over_blocks_of_rows) {
    const shape dims{1, 64, 182, 182};
    const tensor_desc stored = cuda::activation_desc(dtype::f32, dims);
    constexpr int pack = 4, unroll = 1; // with two gradients
    const auto summing = cuda::divide_rows(stored, pack, unroll, cuda::most_summing_blocks),
               applying = cuda::divide_rows(stored, pack, unroll, cuda::most_applying_blocks);
    ASSERT_GT(summing.steps, summing.blocks) << "the sums of a block";
    ASSERT_GT(summing.blocks, cuda::combine_rows) << "the sums of all blocks";
    ASSERT_GT(applying.steps_of_block, 1) << "the gradient";

    const std::vector<double> x = numbers(dims.elements(), 37), dy = numbers(dims.elements(), 11),
                              dy2 = numbers(dims.elements(), 5), gamma = numbers(dims[1], 3),
                              saved(static_cast<std::size_t>(4 * dims[1]), 0.5);
    const auto device = make_backend("cuda");
    expect_conformance(*device, dtype::f32, [&](test_tensors& tensors) -> operation_params {
        return batch_norm_backward{.dy = tensors.input(dims, dy),
                                   .dy2 = tensors.input(dims, dy2),
                                   .x = tensors.input(dims, x),
                                   .y = {},
                                   .gamma = tensors.input({dims[1]}, gamma),
                                   .saved = tensors.input({4, dims[1]}, saved),
                                   .dx = tensors.output(dims),
                                   .dgamma = tensors.output({dims[1]}),
                                   .dbeta = tensors.output({dims[1]}),
                                   .dresidual = {},
                                   .relu = true};
    });
}

} // namespace
} // namespace petnet::testing
