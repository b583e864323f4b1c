// SPDX-License-Identifier: Apache-2.0
// How rows are shared between the blocks of the batch-norm kernels.
#include "kernels/cuda/batch_norm.hpp"
#include "kernels/problems.hpp"

#include <gtest/gtest.h>

namespace petnet::kernels::cuda {
namespace {

tensor_desc activation(dtype type, std::int64_t rows, std::int64_t channels) {
    return {type, {rows, channels, 1, 1}, static_cast<std::uint32_t>(padded_channels(channels))};
}

TEST(cuda_batch_norm_partition, covers_all_rows_and_channels_within_its_limits) {
    for (const std::int64_t channels : {1, 3, 8, 24, 40, 64, 100, 128, 512, 1024})
        for (const std::int64_t rows : {1, 2, 63, 64, 1000, 49 * 64, 112 * 112 * 256})
            for (const int pack : {4, 8})
                for (const int unroll : {1, 4})
                    for (const int most_blocks : {most_summing_blocks, most_applying_blocks}) {
                        const tensor_desc x = activation(dtype::f16, rows, channels);
                        if (stored_channels(x) % pack != 0) continue;
                        SCOPED_TRACE(std::to_string(rows) + " rows of " + std::to_string(channels));
                        const batch_norm_partition of = divide_rows(x, pack, unroll, most_blocks);
                        EXPECT_EQ(of.rows, rows);
                        EXPECT_GE(of.tiles * of.columns * pack, of.stored);
                        EXPECT_LT((of.tiles - 1) * of.columns * pack, of.stored) << "an empty tile";
                        EXPECT_LE(of.columns * of.block_rows, batch_norm_threads);
                        EXPECT_GE(of.steps * of.block_rows * unroll, rows);
                        EXPECT_GE(of.blocks * of.steps_of_block, of.steps);
                        EXPECT_LT((of.blocks - 1) * of.steps_of_block, of.steps) << "an empty block";
                        EXPECT_LE(of.tiles * of.blocks, std::max(most_blocks, of.tiles));
                    }
}

// Sums of ResNet-34's layers keep an A100 busy: one wave of blocks, nearly full, from batch 64 on.
TEST(cuda_batch_norm_partition, fills_a_gpu_at_real_shapes) {
    for (const activation_problem& problem : resnet34_batch_norms)
        for (const std::int64_t batch : {64, 256}) {
            const tensor_desc x =
                activation(dtype::f16, batch * problem.height * problem.width, problem.channels);
            const batch_norm_partition of = divide_rows(x, 4, 4, most_summing_blocks);
            EXPECT_GE(of.tiles * of.blocks, most_summing_blocks * 8 / 10)
                << problem.name << " at batch " << batch;
        }
}

} // namespace
} // namespace petnet::kernels::cuda
