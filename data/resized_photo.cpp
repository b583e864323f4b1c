// SPDX-License-Identifier: Apache-2.0
#include "data/resized_photo.hpp"

#include <string>

namespace petnet::data {

half_resized resized_photo(std::span<const std::byte> bytes, std::string_view display_name, std::size_t size,
                           orientation turned) {
    // The full-size pixels are dropped at once: their storage, kept by each thread, saves mapping it anew.
    thread_local rgb_image image;
    constexpr std::size_t storage_kept = 64 * 1024 * 1024;
    const auto drop_large = [] {
        if (image.pixels.capacity() > storage_kept) image = {};
    };
    try {
        decode(bytes, display_name, image, turned);
        if (half_resized_bytes(image.width, image.height, size) + image.pixels.size() + bytes.size() >
            max_decode_bytes)
            throw decode_error(std::string(display_name) + ": its sides differ too much to resize it");
        half_resized pixels = resize_covered_axis(image, size);
        drop_large();
        return pixels;
    } catch (const input_error&) {
        drop_large();
        throw;
    }
}

} // namespace petnet::data
