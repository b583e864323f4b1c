// SPDX-License-Identifier: Apache-2.0
// How a camera was held, as the EXIF data of a photograph tell it.
#pragma once

#include "data/decode.hpp"

#include <cstddef>
#include <optional>
#include <span>

namespace petnet::data {

// The orientation (tag 0x0112, EXIF 2.3 section 4.6.4) in a JPEG's first EXIF segment, a PNG's chunk eXIf or
// a WebP's chunk EXIF, 1 to 8; 1, upright, where there is none or it makes no sense. Of a JPEG it looks at
// nothing behind the first scan.
[[nodiscard]] unsigned exif_orientation(std::span<const std::byte> photograph) noexcept;

// The value of a field of type SHORT in the first directory of a TIFF file (of 32 bits); nothing where it is
// missing or of another type.
[[nodiscard]] std::optional<std::size_t> short_in_tiff(std::span<const std::byte> tiff,
                                                       std::size_t tag) noexcept;

// Turns and mirrors the pixels so that the image is upright, as Pillow's ImageOps.exif_transpose does; from 5
// on width and height change places. Takes the memory of the pixels once more.
void turn_upright(rgb_image& image, unsigned orientation);

} // namespace petnet::data
