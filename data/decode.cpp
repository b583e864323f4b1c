// SPDX-License-Identifier: Apache-2.0
#include "data/decode.hpp"

#include "data/decode_formats.hpp"
#include "data/exif.hpp"
#include "data/resize.hpp"

#include <algorithm>
#include <array>

namespace petnet::data {
namespace {

template <std::size_t n>
bool starts_with(std::span<const std::byte> bytes, const std::array<unsigned char, n>& magic) {
    return bytes.size() >= n && std::equal(magic.begin(), magic.end(), bytes.begin(),
                                           [](unsigned char a, std::byte b) { return std::byte{a} == b; });
}

unsigned orientation_of(std::span<const std::byte> bytes, image_format format, orientation turned) {
    return turned == orientation::by_exif && format == image_format::jpeg ? exif_orientation(bytes) : 1;
}

} // namespace

image_format format_of(std::span<const std::byte> start) noexcept {
    constexpr std::array<unsigned char, 3> jpeg{0xff, 0xd8, 0xff};
    constexpr std::array<unsigned char, 8> png{0x89, 'P', 'N', 'G', '\r', '\n', 0x1a, '\n'};
    constexpr std::array<unsigned char, 4> gif{'G', 'I', 'F', '8'};
    constexpr std::array<unsigned char, 2> bmp{'B', 'M'};
    if (starts_with(start, jpeg)) return image_format::jpeg;
    if (starts_with(start, png)) return image_format::png;
    if (starts_with(start, gif)) return image_format::gif;
    // Two letters are little to go by: the four bytes reserved after the file size are zero in every BMP.
    const bool reserved_is_zero =
        start.size() >= 10 &&
        std::all_of(start.begin() + 6, start.begin() + 10, [](std::byte b) { return b == std::byte{0}; });
    if (starts_with(start, bmp) && reserved_is_zero) return image_format::bmp;
    return image_format::none;
}

namespace detail {

void take_size(std::size_t width, std::size_t height, std::size_t bytes, std::size_t pixels_per_byte,
               rgb_image& image) {
    const std::string size = std::to_string(width) + " x " + std::to_string(height) + " pixels";
    if (width == 0 || height == 0) throw decode_error("the header says " + size);
    if (width > (max_decode_bytes - std::min(bytes, max_decode_bytes)) / 3 / height)
        throw decode_error("the header says " + size + ", more than petnet decodes (" +
                           std::to_string(max_decode_bytes / 3'000'000) + " megapixels)");
    if (width * height / pixels_per_byte > bytes)
        throw decode_error("the header says " + size + ", which " + std::to_string(bytes) +
                           " bytes cannot hold");
    image.width = width;
    image.height = height;
    // Room for what resize_covered_axis appends, so that it need not move the pixels.
    image.pixels.reserve(width * height * 3 + resize_slack);
    image.pixels.resize(width * height * 3);
}

} // namespace detail

void decode(std::span<const std::byte> bytes, std::string_view display_name, rgb_image& image,
            orientation turned) {
    try {
        const image_format format = format_of(bytes);
        if (bytes.empty()) throw decode_error("the file is empty");
        if (format == image_format::none) throw decode_error("not a JPEG, PNG, GIF or BMP image");
        if (format == image_format::jpeg)
            detail::decode_jpeg(bytes, image);
        else
            detail::decode_by_stb(bytes, format, image);
        const unsigned way = orientation_of(bytes, format, turned);
        if (way == 1) return;
        if (2 * image.pixels.size() > max_decode_bytes - bytes.size())
            throw decode_error("too large to be turned by its EXIF orientation");
        turn_upright(image, way);
    } catch (const decode_error& problem) {
        throw decode_error(std::string(display_name) + ": " + problem.what());
    }
}

std::size_t decode_bytes(std::span<const std::byte> bytes, orientation turned) {
    try {
        const image_format format = format_of(bytes);
        if (format == image_format::none) return 0;
        const std::size_t decoding = format == image_format::jpeg
                                         ? detail::decode_bytes_jpeg(bytes)
                                         : detail::decode_bytes_by_stb(bytes, format);
        return std::min(max_decode_bytes,
                        orientation_of(bytes, format, turned) == 1 ? decoding : 2 * decoding);
    } catch (const decode_error&) {
        return 0;
    }
}

rgb_image decode(std::span<const std::byte> bytes, std::string_view display_name, orientation turned) {
    rgb_image image;
    decode(bytes, display_name, image, turned);
    return image;
}

} // namespace petnet::data
