// SPDX-License-Identifier: Apache-2.0
// Internal: the decoders behind decode().
#pragma once

#include "data/decode.hpp"

namespace petnet::data::detail {

// Both throw decode_error with the reason alone, to which decode() adds the file's name.
void decode_jpeg(std::span<const std::byte> bytes, rgb_image& image);
void decode_by_stb(std::span<const std::byte> bytes, image_format format, rgb_image& image);

// The memory that decoding will take at its peak; they throw as above where the header is broken.
std::size_t decode_bytes_jpeg(std::span<const std::byte> bytes);
std::size_t decode_bytes_by_stb(std::span<const std::byte> bytes, image_format format);

// Refuses sizes of which no image is, whose pixels and file exceed max_decode_bytes, or that `bytes`
// compressed bytes cannot fill at `pixels_per_byte`, the most the format can pack; then gives the image its
// size.
void take_size(std::size_t width, std::size_t height, std::size_t bytes, std::size_t pixels_per_byte,
               rgb_image& image);

} // namespace petnet::data::detail
