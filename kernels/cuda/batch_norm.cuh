// SPDX-License-Identifier: Apache-2.0
// What the kernels of batch normalisation share: a thread's place, its walk over rows, sums of channels in a
// fixed order, and the formulas that forward and backward, activations and features must agree on to the bit.
#pragma once

#include "kernels/cuda/batch_norm.hpp"
#include "kernels/cuda/element.cuh"
#include "kernels/cuda/shared_memory.cuh"
#include "kernels/ops.hpp"

#include <cuda_runtime.h>

namespace petnet::kernels::cuda {

// One value for each channel of a thread. (g++ warns of the sign of a plain int.)
template <int Count> using floats = float[std::size_t{Count}];

// In the place of operands that a kernel has not.
struct absent {};

// ---------------------------------------------------------------------------------------------------------
// Formulas

// The normalised value before residual and ReLU; the backward pass finds ReLU's cut with the same rounding.
__device__ inline float normalised(float x, float scale, float shift) { return fmaf(scale, x, shift); }

// Mean and variance of running statistics as inverse deviation, scale and shift. float32 with exactly rounded
// square root and division: double costs a T4 32 times as much, in every block.
struct running_statistics {
    const float *gamma, *beta, *mean, *variance;
};
struct running_coefficients {
    __device__ running_coefficients(const running_statistics& of, int channel)
        : inverse_deviation(1.0F / sqrtf(of.variance[channel] + static_cast<float>(batch_norm_epsilon))),
          scale(of.gamma[channel] * inverse_deviation),
          shift(fmaf(-of.mean[channel], scale, of.beta[channel])) {}
    float inverse_deviation, scale, shift;
};

// What training finds of a channel, and where it goes.
struct statistics_outputs {
    const float *gamma, *beta;
    float *running_mean, *running_variance, *saved;
    std::int64_t rows;
    int channels;
};

// From sum = sum(x - origin) and squares = sum((x - origin)^2).
__device__ inline void store_statistics(const statistics_outputs& to, int channel, float origin, double sum,
                                        double squares) {
    const auto count = static_cast<double>(to.rows);
    const double mean = static_cast<double>(origin) + sum / count;
    double deviations = squares - sum * (sum / count); // sum((x - mean)^2)
    if (deviations < 0) deviations = 0;                // by rounding; NaN stays
    const double inverse_deviation = 1 / sqrt(deviations / count + batch_norm_epsilon);
    const double scale = static_cast<double>(to.gamma[channel]) * inverse_deviation;
    const auto move = [](float& running, double towards) {
        const auto old = static_cast<double>(running);
        running = static_cast<float>(old + batch_norm_momentum * (towards - old));
    };
    move(to.running_mean[channel], mean);
    move(to.running_variance[channel], deviations / (count - 1));
    to.saved[channel] = static_cast<float>(mean);
    to.saved[to.channels + channel] = static_cast<float>(inverse_deviation);
    to.saved[2 * to.channels + channel] = static_cast<float>(scale);
    to.saved[3 * to.channels + channel] =
        static_cast<float>(static_cast<double>(to.beta[channel]) - mean * scale);
}

// dgamma, dbeta and the coefficients of dx = scale*g + (slope*x + offset), from sum_g = sum(g) and
// sum_gxhat = sum(g*xhat). The mean is folded into the offset: where it is large beside the deviation, that
// loses as many bits of dx as the forward pass, whose shift holds it too, has lost of y; |dgamma| is at most
// M*rms(g).
struct gradient_coefficients {
    float slope, offset;
};
__device__ inline gradient_coefficients store_gradients(float* dgamma, float* dbeta, const float* saved,
                                                        int channel, int channels, std::int64_t rows,
                                                        double sum_g, double sum_gxhat) {
    const auto mean = static_cast<double>(saved[channel]);
    const auto inverse_deviation = static_cast<double>(saved[channels + channel]);
    const double share = static_cast<double>(saved[2 * channels + channel]) / static_cast<double>(rows);
    dbeta[channel] = static_cast<float>(sum_g);
    dgamma[channel] = static_cast<float>(sum_gxhat);
    const auto slope = static_cast<float>(-share * inverse_deviation * sum_gxhat);
    return {slope, static_cast<float>(-share * sum_g - static_cast<double>(slope) * mean)};
}
__device__ inline float gradient_of_x(float g, float x, float scale, gradient_coefficients by) {
    return fmaf(scale, g, fmaf(by.slope, x, by.offset));
}

// ---------------------------------------------------------------------------------------------------------
// Places and rows

[[nodiscard]] inline dim3 grid_of(const batch_norm_partition& of) {
    return {static_cast<unsigned>(of.tiles), static_cast<unsigned>(of.blocks)};
}
[[nodiscard]] inline dim3 grid_of_channels(int channels, int of_block) {
    return {static_cast<unsigned>(divide_up(channels, of_block))};
}

struct batch_norm_place {
    __device__ batch_norm_place(const batch_norm_partition& of, int pack_channels)
        : row(static_cast<int>(threadIdx.x) / of.columns),
          channel_of_tile(static_cast<int>(threadIdx.x) % of.columns * pack_channels),
          first_channel(static_cast<int>(blockIdx.x) * of.columns * pack_channels),
          idle(row >= of.block_rows || first_channel + channel_of_tile >= of.stored) {}
    [[nodiscard]] __device__ int channel() const { return first_channel + channel_of_tile; }
    int row, channel_of_tile;
    int first_channel; // of the tile
    bool idle;
};

// use(offset, load(offset)) for the thread's rows in one step; `offset` is that of the row. All loads of the
// step are issued before the first is used. The tensor's last step may be cut: its rows go one at a time.
template <int Unroll, class Load, class Use>
__device__ void take_step(const batch_norm_partition& of, const batch_norm_place& place, std::int64_t step,
                          const Load& load, const Use& use) {
    const std::int64_t first = step * (Unroll * of.block_rows) + place.row;
    const std::int64_t offset = first * of.stored,
                       stride = static_cast<std::int64_t>(of.block_rows) * of.stored;
    if (first + (Unroll - 1) * of.block_rows < of.rows) {
        decltype(load(offset)) loaded[std::size_t{Unroll}];
        for (int u = 0; u < Unroll; ++u) loaded[u] = load(offset + u * stride);
        for (int u = 0; u < Unroll; ++u) use(offset + u * stride, loaded[u]);
    } else {
        for (std::int64_t at = offset; at < of.rows * of.stored; at += stride) use(at, load(at));
    }
}

// The block's steps, those of all blocks interleaved: from the first row to the last.
template <int Unroll, class Load, class Use>
__device__ void upwards(const batch_norm_partition& of, const batch_norm_place& place, const Load& load,
                        const Use& use) {
    for (std::int64_t step = blockIdx.y; step < of.steps; step += of.blocks)
        take_step<Unroll>(of, place, step, load, use);
}

// From the last row to the first, each block's steps together: what `upwards` read last is read first, while
// the second-level cache still has it.
template <int Unroll, class Load, class Use>
__device__ void downwards(const batch_norm_partition& of, const batch_norm_place& place, const Load& load,
                          const Use& use) {
    const std::int64_t end = of.steps - blockIdx.y * of.steps_of_block;
    const std::int64_t begin = end < of.steps_of_block ? 0 : end - of.steps_of_block;
    for (std::int64_t step = end; step-- > begin;) take_step<Unroll>(of, place, step, load, use);
}

// ---------------------------------------------------------------------------------------------------------
// Coefficients of a tile's channels: computed once a block, then registers

template <int Count> struct coefficients { floats<Count> of; };
template <int Count, int Pack> struct tile_coefficients {
    static_assert(widest_batch_norm_tile * Pack <= batch_norm_threads, "a thread computes one channel's");
    floats<widest_batch_norm_tile * Pack> of[std::size_t{Count}];
};

// values(channel), Count coefficients, for each channel of the tile; 0 for padding channels, which makes
// all that is computed from them 0. Called by all threads; waits for them.
template <int Count, int Pack, class Values>
__device__ void fill_tile(tile_coefficients<Count, Pack>& tile, const batch_norm_partition& of,
                          const batch_norm_place& place, const Values& values) {
    const int i = static_cast<int>(threadIdx.x), channel = place.first_channel + i;
    if (i < of.columns * Pack) {
        coefficients<Count> found{};
        if (channel < of.channels) found = values(channel);
        for (int k = 0; k < Count; ++k) tile.of[k][i] = found.of[k];
    }
    __syncthreads();
}
template <int Pack>
__device__ void read_tile(floats<Pack>& to, const float* tile, const batch_norm_place& place) {
    for (int j = 0; j < Pack; j += 4) {
        const auto four = load_pack<4>(tile + place.channel_of_tile + j);
        for (int k = 0; k < 4; ++k) to[j + k] = four.at[k];
    }
}

// ---------------------------------------------------------------------------------------------------------
// Two sums of each channel: of a thread, then of its block, then of all blocks, each in the order of rows

template <int Pack> struct block_sums {
    static_assert(2 * widest_batch_norm_tile * Pack <= batch_norm_threads,
                  "a thread adds one sum of one channel");
    floats<batch_norm_threads * Pack> of[2]; // [which sum][thread][channel]
};

// Adds the sums of the block's threads and stores them as the block's partial sums. Called by all threads,
// the idle ones too.
template <int Pack>
__device__ void store_block_sums(block_sums<Pack>& shared, const batch_norm_partition& of,
                                 const batch_norm_place& place, const floats<Pack>& first,
                                 const floats<Pack>& second, float* partial_sums) {
    const int mine = static_cast<int>(threadIdx.x) * Pack, width = of.columns * Pack;
    for (int j = 0; j < Pack; ++j) {
        shared.of[0][mine + j] = first[j];
        shared.of[1][mine + j] = second[j];
    }
    __syncthreads();
    const int task = static_cast<int>(threadIdx.x), which = task / width, channel = task % width;
    if (which >= 2 || place.first_channel + channel >= of.stored) return;
    float sum = 0;
    for (int row = 0; row < of.block_rows; ++row) sum += shared.of[which][row * width + channel];
    const std::int64_t sums_before = static_cast<std::int64_t>(blockIdx.y) * 2 + which;
    partial_sums[sums_before * of.stored + place.first_channel + channel] = sum;
}

struct channel_sums {
    double first, second;
    __device__ void operator+=(const channel_sums& other) {
        first += other.first;
        second += other.second;
    }
};
struct combined_sums {
    channel_sums of[combine_rows][combine_channels];
};
inline constexpr int combine_threads = combine_rows * combine_channels;

// The channel of a thread of a combining block, and its row of partial sums.
struct combine_place {
    __device__ combine_place()
        : column(static_cast<int>(threadIdx.x) % combine_channels),
          row(static_cast<int>(threadIdx.x) / combine_channels),
          channel(static_cast<int>(blockIdx.x) * combine_channels + column) {}
    int column, row, channel;
};

// The sums of `place.channel` over all blocks; whole in the threads of row 0. Called by all threads.
__device__ inline channel_sums combine_sums(combined_sums& shared, const float* partial_sums,
                                            const batch_norm_partition& of, const combine_place& place) {
    channel_sums sums{0, 0};
    if (place.channel < of.channels)
        for (int block = place.row; block < of.blocks; block += combine_rows) {
            const float* partial =
                partial_sums + static_cast<std::int64_t>(block) * 2 * of.stored + place.channel;
            sums += {static_cast<double>(partial[0]), static_cast<double>(partial[of.stored])};
        }
    auto& mine = shared.of[place.row][place.column];
    mine = sums;
    __syncthreads();
    if (place.row < combine_rows_at_first) { // of these rows, each reads only what none of them writes
        for (int row = place.row + combine_rows_at_first; row < combine_rows; row += combine_rows_at_first)
            sums += shared.of[row][place.column];
        mine = sums;
    }
    __syncthreads();
    if (place.row == 0)
        for (int row = 1; row < combine_rows_at_first; ++row) sums += shared.of[row][place.column];
    return sums;
}

} // namespace petnet::kernels::cuda
