// SPDX-License-Identifier: Apache-2.0
#include "data/decode.hpp"

#include "data/decode_formats.hpp"
#include "data/exif.hpp"
#include "data/resize.hpp"

#include <algorithm>
#include <array>

namespace petnet::data {
namespace {

using detail::begins_with;

unsigned orientation_of(std::span<const std::byte> bytes, orientation turned) {
    return turned == orientation::by_exif ? exif_orientation(bytes) : 1;
}

struct format_decoder {
    detail::picture_size (*size_of)(std::span<const std::byte>);
    void (*decode)(std::span<const std::byte>, rgb_image&);
};

const format_decoder& decoder_of(image_format format) {
    static constexpr std::array<format_decoder, 6> decoders{{{detail::size_of_jpeg, detail::decode_jpeg},
                                                             {detail::size_of_png, detail::decode_png},
                                                             {detail::size_of_gif, detail::decode_gif},
                                                             {detail::size_of_bmp, detail::decode_bmp},
                                                             {detail::size_of_webp, detail::decode_webp},
                                                             {detail::size_of_tiff, detail::decode_tiff}}};
    return decoders.at(static_cast<std::size_t>(format) - 1); // `none` is the first
}

std::string in_pixels(std::size_t width, std::size_t height) {
    return std::to_string(width) + " x " + std::to_string(height) + " pixels";
}

} // namespace

image_format format_of(std::span<const std::byte> start) noexcept {
    using namespace std::string_view_literals;
    if (begins_with(start, "\xff\xd8\xff"sv)) return image_format::jpeg;
    if (begins_with(start, "\x89PNG\r\n\x1a\n"sv)) return image_format::png;
    if (begins_with(start, "GIF87a"sv) || begins_with(start, "GIF89a"sv)) return image_format::gif;
    // Two letters are little to go by: the size of the header that follows is one of seven.
    if (begins_with(start, "BM"sv) && start.size() >= 16 && start[15] == std::byte{0})
        for (const unsigned header_bytes : {12U, 40U, 52U, 56U, 64U, 108U, 124U})
            if (start[14] == std::byte{static_cast<unsigned char>(header_bytes)}) return image_format::bmp;
    if (begins_with(start, "RIFF"sv) && start.size() >= 16) { // behind the size of what follows
        const std::span<const std::byte> kind = start.subspan(8);
        for (const std::string_view webp : {"WEBPVP8 "sv, "WEBPVP8L"sv, "WEBPVP8X"sv})
            if (begins_with(kind, webp)) return image_format::webp;
    }
    for (const std::string_view tiff : {"II*\0"sv, "MM\0*"sv, "II+\0"sv, "MM\0+"sv}) // +: of 64 bits
        if (begins_with(start, tiff)) return image_format::tiff;
    return image_format::none;
}

namespace detail {

void refuse_size(std::size_t width, std::size_t height) {
    throw decode_error("the header says " + in_pixels(width, height) + ", which take more than the " +
                       std::to_string(max_decode_bytes / 1'000'000) +
                       " MB of memory that petnet allows a picture");
}

void take_size(const picture_size& size, std::size_t file_bytes, std::size_t pixels_per_byte,
               rgb_image& image) {
    const auto [width, height, beside] = size;
    if (width == 0 || height == 0) throw decode_error("the header says " + in_pixels(width, height));
    const std::size_t taken = std::min(file_bytes, max_decode_bytes) + std::min(beside, max_decode_bytes);
    if (taken > max_decode_bytes || width > (max_decode_bytes - taken) / 3 / height)
        refuse_size(width, height);
    if (width * height / pixels_per_byte > file_bytes)
        throw decode_error("the header says " + in_pixels(width, height) + ", which " +
                           std::to_string(file_bytes) + " bytes cannot hold");
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
        if (format == image_format::none) throw decode_error(std::string(no_image));
        decoder_of(format).decode(bytes, image);
        const unsigned way = orientation_of(bytes, turned);
        if (way == 1) return;
        if (2 * image.pixels.size() > max_decode_bytes - bytes.size())
            detail::refuse_size(image.width, image.height);
        turn_upright(image, way);
    } catch (const decode_error& problem) {
        throw decode_error(std::string(display_name) + ": " + problem.what());
    }
}

std::size_t decode_bytes(std::span<const std::byte> bytes, orientation turned) {
    try {
        const image_format format = format_of(bytes);
        if (format == image_format::none) return 0;
        const auto [width, height, beside] = decoder_of(format).size_of(bytes);
        if (height != 0 && width > max_decode_bytes / height) return max_decode_bytes;
        const std::size_t pixels = width * height * 3;
        const std::size_t turning = orientation_of(bytes, turned) == 1 ? 0 : pixels;
        return std::min(max_decode_bytes, pixels + std::max(beside, turning));
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
