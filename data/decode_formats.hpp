// SPDX-License-Identifier: Apache-2.0
// Internal: the decoders behind decode(), one a format, and what they share.
#pragma once

#include "data/decode.hpp"

#include <algorithm>

namespace petnet::data::detail {

// What a header says, before any memory is taken.
struct picture_size {
    std::size_t width = 0;
    std::size_t height = 0;
    std::size_t beside = 0; // bytes of memory that decoding takes at its peak beside the pixels and the file
};

// The header of a file of that format; decode_error with the reason alone where it is broken.
picture_size size_of_jpeg(std::span<const std::byte> bytes);
picture_size size_of_png(std::span<const std::byte> bytes);
picture_size size_of_gif(std::span<const std::byte> bytes);
picture_size size_of_bmp(std::span<const std::byte> bytes);
picture_size size_of_webp(std::span<const std::byte> bytes);
picture_size size_of_tiff(std::span<const std::byte> bytes);

// All throw decode_error with the reason alone, to which decode() adds the file's name.
void decode_jpeg(std::span<const std::byte> bytes, rgb_image& image);
void decode_png(std::span<const std::byte> bytes, rgb_image& image);
void decode_gif(std::span<const std::byte> bytes, rgb_image& image);
void decode_bmp(std::span<const std::byte> bytes, rgb_image& image);
void decode_webp(std::span<const std::byte> bytes, rgb_image& image);
void decode_tiff(std::span<const std::byte> bytes, rgb_image& image);

// The one sentence for pictures that would take more than max_decode_bytes.
[[noreturn]] void refuse_size(std::size_t width, std::size_t height);

// Refuses sizes of which no image is, that would take more than max_decode_bytes with the file, or that
// `file_bytes` bytes cannot fill at `pixels_per_byte`, the most the format can pack; then gives the image its
// size; what it shows is left to the decoder, to the last pixel.
void take_size(const picture_size& size, std::size_t file_bytes, std::size_t pixels_per_byte,
               rgb_image& image);

inline bool begins_with(std::span<const std::byte> bytes, std::string_view text) {
    return bytes.size() >= text.size() &&
           std::equal(text.begin(), text.end(), bytes.begin(),
                      [](char a, std::byte b) { return static_cast<std::byte>(a) == b; });
}

// A channel of RGB from an ink of CMYK and the absence of black, 255 - K, as Pillow converts it:
// clip(not_black - round(ink * not_black / 255)).
inline std::uint8_t without_ink(int ink, int not_black) {
    const int product = ink * not_black + 128;
    return static_cast<std::uint8_t>(std::max(not_black - ((product >> 8) + product) / 256, 0));
}

} // namespace petnet::data::detail
