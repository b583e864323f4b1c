// SPDX-License-Identifier: Apache-2.0
// PNG, GIF and BMP by stb_image.
#include "data/decode_formats.hpp"
#include "data/stb_image_memory.h"

#include <algorithm>
#include <climits>
#include <memory>

#define STBI_NO_STDIO
#include <stb_image.h>

namespace petnet::data::detail {
namespace {

struct stb_free {
    void operator()(void* pixels) const { stbi_image_free(pixels); }
};

[[noreturn]] void refuse(image_format format) {
    const char* name = format == image_format::png ? "PNG" : format == image_format::gif ? "GIF" : "BMP";
    const char* reason = stbi_failure_reason();
    throw decode_error(std::string("a truncated, corrupt or unsupported ") + name +
                       (reason != nullptr ? std::string(" (") + reason + ")" : ""));
}

// A PNG's header: width and height at 16 and 20, then bits per sample and colour type (0: gray).
bool is_16_bit_gray_png(std::span<const std::byte> bytes, image_format format) {
    return format == image_format::png && bytes.size() > 25 && bytes[24] == std::byte{16} &&
           bytes[25] == std::byte{0};
}

struct image_size {
    std::size_t width = 0, height = 0;
};

std::size_t big_endian_32(std::span<const std::byte> bytes) {
    std::size_t value = 0;
    for (std::byte byte : bytes.first(4)) value = value << 8 | std::to_integer<std::size_t>(byte);
    return value;
}

image_size size_of(std::span<const std::byte> bytes, image_format format) {
    // stb_image would only say that a PNG too large for it is of an unknown type.
    if (format == image_format::png && bytes.size() >= 24)
        return {big_endian_32(bytes.subspan(16)), big_endian_32(bytes.subspan(20))};
    int width = 0;
    int height = 0;
    int channels = 0;
    if (stbi_info_from_memory(reinterpret_cast<const stbi_uc*>(bytes.data()), static_cast<int>(bytes.size()),
                              &width, &height, &channels) == 0)
        refuse(format);
    if (width < 0 || height < 0) throw decode_error("the header says a negative size");
    return {static_cast<std::size_t>(width), static_cast<std::size_t>(height)};
}

// A copy of a GIF whose first frame has no transparent colour. stb_image leaves transparent pixels undrawn,
// where Pillow's conversion shows the colour that the palette has for them.
std::vector<std::byte> without_transparency(std::span<const std::byte> gif) {
    std::vector<std::byte> bytes(gif.begin(), gif.end());
    const auto at = [&](std::size_t place) {
        return place < bytes.size() ? std::to_integer<unsigned>(bytes[place]) : 0U;
    };
    constexpr unsigned extension = 0x21;
    constexpr unsigned graphic_control = 0xf9;
    std::size_t place = 13; // after the header, and after the palette where flag 0x80 says that there is one
    if ((at(10) & 0x80U) != 0) place += 3UL << ((at(10) & 7U) + 1);
    while (at(place) == extension) {
        const bool whole = place + 3 < bytes.size(); // the file may end within the extension
        if (whole && at(place + 1) == graphic_control && at(place + 2) == 4)
            bytes[place + 3] &= std::byte{0xfe};
        place += 2;
        while (at(place) != 0) place += at(place) + 1; // sub-blocks, up to the empty one
        ++place;
    }
    return bytes;
}

// The most pixels a compressed byte can stand for: deflate packs 1032 to 1 (of eight 1-bit pixels each),
// LZW's 12-bit codes name strings of up to 4096 pixels, a BMP has at least a bit for each pixel.
std::size_t pixels_per_byte(image_format format) {
    switch (format) {
    case image_format::png:
        return 1032 * 8;
    case image_format::gif:
        return 4096;
    default:
        return 8;
    }
}

} // namespace

std::size_t decode_bytes_by_stb(std::span<const std::byte> bytes, image_format format) {
    if (bytes.size() > INT_MAX) return 0;
    petnet_stb_set_budget(max_decode_bytes);
    const image_size size = size_of(bytes, format);
    if (size.height != 0 && size.width > max_decode_bytes / size.height) return max_decode_bytes;
    // The pixels, stb_image's own, and before them the unpacked data, of at most four channels of two bytes.
    return size.width * size.height * 12 +
           (format == image_format::gif ? bytes.size() : 0); // a GIF is copied
}

void decode_by_stb(std::span<const std::byte> bytes, image_format format, rgb_image& image) {
    if (bytes.size() > INT_MAX) throw decode_error("a file of more than 2 GB");
    petnet_stb_set_budget(max_decode_bytes);
    const image_size size = size_of(bytes, format);
    take_size(size.width, size.height, bytes.size(), pixels_per_byte(format), image);
    std::size_t taken =
        bytes.size() + image.pixels.size(); // take_size saw to it that this is within the limit
    std::vector<std::byte> copy;
    if (format == image_format::gif) {
        if (bytes.size() > max_decode_bytes - taken)
            throw decode_error("a GIF of " + std::to_string(bytes.size()) +
                               " bytes, more than petnet decodes");
        taken += bytes.size();
        bytes = copy = without_transparency(bytes);
    }

    petnet_stb_set_budget(max_decode_bytes - taken);
    const auto* data = reinterpret_cast<const stbi_uc*>(bytes.data());
    const int length = static_cast<int>(bytes.size());
    int width = 0;
    int height = 0;
    int channels = 0;
    if (is_16_bit_gray_png(bytes, format)) {
        const std::unique_ptr<stbi_us, stb_free> gray(
            stbi_load_16_from_memory(data, length, &width, &height, &channels, 1));
        if (gray == nullptr || static_cast<std::size_t>(width) != image.width ||
            static_cast<std::size_t>(height) != image.height)
            refuse(format);
        for (std::size_t i = 0; i < image.width * image.height; ++i)
            std::fill_n(image.pixels.begin() + static_cast<std::ptrdiff_t>(3 * i), 3,
                        static_cast<std::uint8_t>(std::min<stbi_us>(gray.get()[i], 255)));
        return;
    }
    const std::unique_ptr<stbi_uc, stb_free> rgb(
        stbi_load_from_memory(data, length, &width, &height, &channels, 3));
    if (rgb == nullptr || static_cast<std::size_t>(width) != image.width ||
        static_cast<std::size_t>(height) != image.height)
        refuse(format);
    std::copy_n(rgb.get(), image.pixels.size(), image.pixels.begin());
}

} // namespace petnet::data::detail
