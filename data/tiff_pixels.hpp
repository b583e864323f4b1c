// SPDX-License-Identifier: Apache-2.0
// Internal: a row of a TIFF's samples as RGB, as Pillow's convert('RGB') gives it. The samples are as libtiff
// hands them out: in the processor's order of bytes, those of less than 8 bits packed, the first in the high
// bits.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>

namespace petnet::data::detail {

struct tiff_layout { // the numbers are those of TIFF 6.0
    unsigned photometric = 0;
    unsigned bits = 1;
    unsigned samples = 1;
    unsigned sample_format = 1;
    unsigned extras = 0; // how many of the samples are no colour
    unsigned extra_kind =
        0; // of the first: 0 unknown, 1 transparency that the colours contain, 2 transparency
    std::array<std::array<std::uint8_t, 3>, 256> colours{}; // only of a palette
};

// decode_error where Pillow knows no such pixels.
void require_known(const tiff_layout& layout);

// The bytes of `width` pixels, or of one of their samples where each is a plane of its own.
[[nodiscard]] std::size_t row_bytes_of(const tiff_layout& layout, std::size_t width, bool planar);

// `rows`: one with all samples, or one for each sample, of at least row_bytes_of(). `out` (count, 3).
void to_pixels(const tiff_layout& layout, std::span<const std::uint8_t* const> rows, std::size_t count,
               std::uint8_t* out);

} // namespace petnet::data::detail
