// SPDX-License-Identifier: Apache-2.0
// Internal: Pillow's bilinear (triangle) resampling of 8-bit pixels along one axis.
// Follows precompute_coeffs, normalize_coeffs_8bpc and ImagingResample*_8bpc of Pillow's
// src/libImaging/Resample.c.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <vector>

namespace petnet::data::detail {

// Fixed point: weights are multiples of 2^-22 and those of one output sum to about 2^22, so that a sum of
// 8-bit values times weights stays within 32 bits.
inline constexpr int weight_bits = 22;

// Rows of the source that the vector loops ask for ahead of their use: a kept photograph has left the caches
// by the time its turn comes again, and the hardware's own prefetching ends at each 4 KiB page, a few rows
// on.
inline constexpr std::size_t rows_ahead = 4;

// For vpermb: the weights of five neighbouring output pixels, 15 bytes of RGB, in 32-bit lanes side by side.
// The 16th lane is not used.
struct column_groups {
    static constexpr std::size_t pixels = 5, bytes = 3 * pixels;
    // The input that a group reads.
    struct window {
        std::uint32_t first_byte = 0; // within a row
        std::uint32_t bytes = 0;      // 1 .. 64
    };
    // Two taps of each output. A lane holds the two bytes' places in the window, each in its low byte, and a
    // pair of weights' halves.
    struct alignas(64) step {
        std::array<std::uint16_t, 32> from{};
        std::array<std::int16_t, 32> high{}, low{};
    };
    std::size_t steps_of_window = 0;
    std::vector<window> windows;
    std::vector<step> steps; // (windows, steps_of_window); none where a window would be larger than 64 bytes
};

// The weights of every output along the axis.
struct resample_weights {
    std::size_t out = 0;               // outputs along the axis
    std::size_t taps = 0;              // weights reserved per output, a multiple of 4; those not used are 0
    std::vector<std::uint32_t> first;  // per output: the first input it reads
    std::vector<std::uint32_t> count;  // per output: inputs it reads, 1 .. taps
    std::vector<std::int32_t> weights; // (out, taps), in [0, 2^22]
    // For vector loops: a weight w as the pair of 11-bit halves w = 2048 * high + low, 16 bits each.
    std::vector<std::int16_t> high, low; // (out, taps)
    column_groups groups;
    // Sums of low halves stay within 32 bits.
    [[nodiscard]] bool halves_are_safe() const { return taps <= 4096; }
};

// Resamples `in` inputs, all of them, to `out` outputs.
[[nodiscard]] resample_weights weights_for(std::size_t in, std::size_t out);

// target (out, row_bytes) from source (in rows of row_bytes): each output row is a weighted sum of input
// rows.
void resample_rows_portable(const resample_weights& weights, const std::uint8_t* source, std::uint8_t* target,
                            std::size_t row_bytes);
// target (rows, out, 3) from source, whose rows of RGB pixels begin source_stride bytes apart.
void resample_columns_portable(const resample_weights& weights, const std::uint8_t* source,
                               std::size_t source_stride, std::uint8_t* target, std::size_t rows);

// The same bits in AVX2. Both read and resample_columns_avx2 also writes up to 32 bytes past the last pixel,
// of source and target. Only where halves_are_safe().
void resample_rows_avx2(const resample_weights& weights, const std::uint8_t* source, std::uint8_t* target,
                        std::size_t row_bytes);
void resample_columns_avx2(const resample_weights& weights, const std::uint8_t* source,
                           std::size_t source_stride, std::uint8_t* target, std::size_t rows);

// The same bits in AVX-512 (BW, VL, VNNI, VBMI). resample_rows_avx512 reads up to 32 bytes past the last row
// of source. Only where halves_are_safe(), and resample_columns_avx512 only where there are groups.steps.
void resample_rows_avx512(const resample_weights& weights, const std::uint8_t* source, std::uint8_t* target,
                          std::size_t row_bytes);
void resample_columns_avx512(const resample_weights& weights, const std::uint8_t* source,
                             std::size_t source_stride, std::uint8_t* target, std::size_t rows);

} // namespace petnet::data::detail
