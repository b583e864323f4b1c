// SPDX-License-Identifier: Apache-2.0
// From the bytes of a photograph to pixels, as Pillow's Image.open(file).convert('RGB') gives them.
#pragma once

#include "base/errors.hpp"

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace petnet::data {

// Pixels (height, width, 3), row-major, red green blue, 8 bits each.
struct rgb_image {
    std::size_t width = 0;
    std::size_t height = 0;
    std::vector<std::uint8_t> pixels;
};

enum class image_format : std::uint8_t { none, jpeg, png, gif, bmp, webp, tiff };

// What is said of a file that is none of them.
inline constexpr std::string_view image_formats = "JPEG, PNG, GIF, BMP, WebP, TIFF"; // that this build reads
inline constexpr std::string_view no_image = "not a JPEG, PNG, GIF, BMP, WebP or TIFF image";

// What the first bytes (16 suffice) say the file is.
[[nodiscard]] image_format format_of(std::span<const std::byte> start) noexcept;

// The bytes are not a whole image. One line: the name shown to the user and what is wrong.
class decode_error : public input_error {
  public:
    using input_error::input_error;
};

// No picture is decoded that would take more memory than this, its file's bytes included: some 140 megapixels
// of most formats, 50 of a progressive JPEG.
inline constexpr std::size_t max_decode_bytes = 450'000'000;

// Whether a JPEG, PNG or WebP is turned as its EXIF orientation says; fastai leaves it as it is stored. A
// TIFF is always turned as its own says, as Pillow does.
enum class orientation : std::uint8_t { as_stored, by_exif };

// Decodes JPEG, PNG, GIF, BMP, WebP or TIFF, told apart by content, into `image`, whose storage is reused; of
// several frames or pages the first. Gray is spread to three channels, transparency is dropped, palettes are
// looked up, CMYK and YCCK JPEGs are taken as Adobe writes them (inverted), 16-bit colour keeps its high
// byte, 16-bit gray saturates at 255 and an index behind the last colour is black: all as Pillow does. JPEG:
// accurate integer DCT and triangle-filter chroma upsampling, Pillow's defaults. decode_error (naming
// `display_name`): no image, a format not supported, truncated, corrupt, larger than max_decode_bytes, or
// dimensions that so few bytes cannot fill; sizes are checked before memory is taken. What Pillow refuses as
// damaged is refused; errors inside the compressed data that libjpeg only warns of are tolerated, as Pillow
// tolerates them. Any thread, any number at once.
void decode(std::span<const std::byte> bytes, std::string_view display_name, rgb_image& image,
            orientation turned = orientation::as_stored);
[[nodiscard]] rgb_image decode(std::span<const std::byte> bytes, std::string_view display_name,
                               orientation turned = orientation::as_stored);

// The memory that decoding will take beside the file's bytes, about and at most max_decode_bytes; 0 where the
// header is refused.
[[nodiscard]] std::size_t decode_bytes(std::span<const std::byte> bytes,
                                       orientation turned = orientation::as_stored);

} // namespace petnet::data
