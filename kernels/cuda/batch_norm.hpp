// SPDX-License-Identifier: Apache-2.0
// How the batch-norm kernels divide their work: plain C++ without CUDA headers, functions of shapes alone.
//
// A stored activation is a matrix: `rows` = batch*height*width rows of `stored` channels, the first
// `channels` of them real, the rest padding. A block works on a tile of `columns` neighbouring packs of
// channels; its thread number row*columns + column takes one pack of one row at a time, threads left over are
// idle. A thread keeps its channels for the kernel's whole length, so that sums and coefficients are
// registers.
#pragma once

#include "kernels/backend.hpp"
#include "kernels/cuda/layout.hpp"

#include <algorithm>
#include <cstdint>
#include <memory>

namespace petnet::kernels::cuda {

class context;

inline constexpr int batch_norm_threads = 256;
// Packs: 256 bytes of a row at most. Wider tiles would leave fewer rows of threads, and with them more
// partial sums; ResNet's 512 channels of 16 bits are four tiles of 16 rows of threads.
inline constexpr int widest_batch_norm_tile = 16;
// Blocks that a multiprocessor runs at once, at least: 64 registers a thread.
inline constexpr int blocks_at_once = 4;
// Blocks of a launch at most. Summing: as many as run at once on the 108 multiprocessors of an A100, and with
// room on the 132 of an H100; a second wave of long blocks would leave most of the device idle, and each
// block leaves partial sums behind. Applying: blocks come and go, short ones fill the gaps at the end.
inline constexpr int most_summing_blocks = 108 * blocks_at_once, most_applying_blocks = 2048;
// Combining the partial sums: a block takes 8 channels, a 32-byte sector of each summing block's row of them;
// the rows of threads are many, so that a thread has few loads to wait for. Sums of 8 rows each come first.
inline constexpr int combine_channels = 8, combine_rows = 64, combine_rows_at_first = 8;
// Features: a block takes 32 channels, 128 bytes of each row.
inline constexpr int feature_channels = 32, feature_rows = 32;

// Rows go in steps of unroll*block_rows, in which each thread has `unroll` loads of each tensor under way.
// The grid is (tiles, blocks).
struct batch_norm_partition {
    std::int64_t rows = 0;
    int channels = 0, stored = 0;
    int columns = 0, block_rows = 0;
    int tiles = 0;  // cover the stored channels
    int blocks = 0; // share the steps of a tile
    std::int64_t steps = 0, steps_of_block = 0;
};

// x: an activation.
[[nodiscard]] constexpr batch_norm_partition divide_rows(const tensor_desc& x, int pack, int unroll,
                                                         int most_blocks) noexcept {
    batch_norm_partition of;
    of.channels = static_cast<int>(x.dims[1]);
    of.stored = static_cast<int>(stored_channels(x));
    of.rows = x.dims[0] * x.dims[2] * x.dims[3];
    const std::int64_t packs = of.stored / pack;
    of.tiles = static_cast<int>(divide_up(packs, widest_batch_norm_tile));
    of.columns = static_cast<int>(divide_up(packs, of.tiles)); // even tiles
    of.block_rows = batch_norm_threads / of.columns;
    of.steps = divide_up(of.rows, of.block_rows * unroll);
    of.steps_of_block = divide_up(of.steps, std::max(1, most_blocks / of.tiles));
    of.blocks = static_cast<int>(divide_up(of.steps, of.steps_of_block)); // even blocks
    return of;
}

// Two sums of each stored channel from each block, f32: [block][which sum][channel].
[[nodiscard]] constexpr std::size_t partial_sums_bytes(const batch_norm_partition& of) noexcept {
    return static_cast<std::size_t>(of.blocks) * 2 * static_cast<std::size_t>(of.stored) * sizeof(float);
}

// The same operations where x is a batch of feature vectors: batch_norm_features.cu.
[[nodiscard]] std::unique_ptr<operation> prepare_features(context& cuda, const batch_norm_forward& op);
[[nodiscard]] std::unique_ptr<operation> prepare_features(context& cuda, const batch_norm_inference& op);
[[nodiscard]] std::unique_ptr<operation> prepare_features(context& cuda, const batch_norm_backward& op);

} // namespace petnet::kernels::cuda
