// SPDX-License-Identifier: Apache-2.0
// fastai's Resize(size): cut the largest square out of a photograph, then Pillow's anti-aliased bilinear
// resize.
//
// Decoding happens once but the cut is drawn anew each epoch, so the work is split in two. The square always
// covers one axis (the shorter side); resize_covered_axis resamples along it once. cut_square then resamples
// the free axis of the part the cut chooses. Pillow resamples horizontally first and rounds to 8 bits in
// between. For portrait photographs the two parts follow that order and the result is Pillow's, bit for bit;
// for landscape ones the vertical pass comes first, so the rounding in between falls differently: 1 of 255 on
// about a fifth of the values, never more.
#pragma once

#include "data/decode.hpp"

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

namespace petnet::data {

// The instructions the inner loops are written for; every variant gives the same bits.
// avx512: with VNNI and VBMI.
enum class simd : std::uint8_t { portable, avx2, avx512 };
[[nodiscard]] simd best_simd() noexcept; // what this processor has

// The square that fastai cuts: pixels [x, x + side) x [y, y + side).
struct square_cut {
    std::size_t side = 0, x = 0, y = 0;
    bool operator==(const square_cut&) const = default;
};

// As fastai.vision.augment.Resize computes it in double precision: m = min(width, height) / size,
// side = int(m * size) (which rounding can make one less than the shorter side), offsets = int(fraction *
// free). Fractions in [0, 1].
[[nodiscard]] square_cut fastai_cut(std::size_t width, std::size_t height, std::size_t size,
                                    double x_fraction, double y_fraction);

// A photograph after the first part. Rows of `pixels`, 3 bytes a pixel:
//   portrait or square (free_is_vertical): (free_extent, size), landscape: (size, free_extent)
// followed by resize_slack bytes of no meaning, which the vector loops may read.
struct half_resized {
    std::size_t size = 0;  // side of the finished square
    std::size_t width = 0; // of the photograph as decoded
    std::size_t height = 0;
    std::size_t side = 0;        // of the square cut, in photograph pixels
    std::size_t free_extent = 0; // of the free axis, in photograph pixels
    bool free_is_vertical = true;
    std::vector<std::uint8_t> pixels;
};
inline constexpr std::size_t resize_slack = 32;

// Bytes that resize_covered_axis will keep of a photograph of this size.
[[nodiscard]] std::size_t half_resized_bytes(std::size_t width, std::size_t height,
                                             std::size_t size) noexcept;

// All but the pixels of a photograph of this size, which are 0.
[[nodiscard]] half_resized half_resized_frame(std::size_t width, std::size_t height, std::size_t size);

// Takes the image by reference to add the slack to its storage; its pixels do not change. size >= 1.
[[nodiscard]] half_resized resize_covered_axis(rgb_image& image, std::size_t size, simd level = best_simd());

// The part of a photograph's half-resized pixels that cut_square makes the square of: it begins at byte
// `offset`, its rows are `stride` bytes apart, and `side` of its rows (free_is_vertical) or columns become
// `size`. `fraction` as for cut_square.
struct cut_source {
    std::size_t offset = 0, stride = 0, side = 0;
    bool free_is_vertical = true;
};
[[nodiscard]] cut_source source_of_cut(std::size_t width, std::size_t height, std::size_t size,
                                       double fraction);

// How cut_square resamples `side` rows or columns to `size`, for those who do it elsewhere. For each output
// 2 + taps numbers: the first input it reads, how many it reads, and their weights, multiples of 2^-22; those
// not used are 0.
struct cut_weights {
    std::size_t taps = 0;
    std::vector<std::int32_t> numbers; // (size, 2 + taps)
};
[[nodiscard]] cut_weights weights_of_cut(std::size_t side, std::size_t size);

// Finishes the square at `fraction` in [0, 1] of the free axis (0.5 is fastai's validation cut) into
// `square`, (size, size, 3) bytes.
void cut_square(const half_resized& photo, double fraction, std::span<std::uint8_t> square,
                simd level = best_simd());

} // namespace petnet::data
