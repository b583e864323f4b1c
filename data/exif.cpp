// SPDX-License-Identifier: Apache-2.0
#include "data/exif.hpp"

#include "data/decode_formats.hpp"
#include "data/resize.hpp"

#include <algorithm>
#include <array>
#include <optional>
#include <string_view>

namespace petnet::data {
namespace {

using detail::begins_with;
using byte_span = std::span<const std::byte>;

constexpr unsigned upright = 1;

// Numbers of two or four bytes; nothing where they are not all there.
class number_reader {
  public:
    number_reader(byte_span bytes, bool little_endian) : bytes_(bytes), little_endian_(little_endian) {}

    [[nodiscard]] std::optional<std::size_t> at(std::size_t place, std::size_t count) const {
        if (count > bytes_.size() || place > bytes_.size() - count) return {};
        std::size_t value = 0;
        for (std::size_t i = 0; i < count; ++i)
            value = value << 8 |
                    std::to_integer<std::size_t>(bytes_[place + (little_endian_ ? count - 1 - i : i)]);
        return value;
    }

  private:
    byte_span bytes_;
    bool little_endian_;
};

} // namespace

std::optional<std::size_t> short_in_tiff(byte_span tiff, std::size_t tag) noexcept {
    using namespace std::string_view_literals;
    const bool little_endian = begins_with(tiff, "II*\0"sv);
    if (!little_endian && !begins_with(tiff, "MM\0*"sv)) return {};
    const number_reader number(tiff, little_endian);
    const auto directory = number.at(4, 4);
    const auto entries = directory ? number.at(*directory, 2) : std::nullopt;
    constexpr std::size_t entry_bytes = 12, type_short = 3;
    for (std::size_t i = 0; i < entries.value_or(0); ++i) {
        const std::size_t entry = *directory + 2 + i * entry_bytes;
        const auto tag_of_entry = number.at(entry, 2);
        if (!tag_of_entry) return {};
        if (*tag_of_entry == tag)
            return number.at(entry + 2, 2) == type_short ? number.at(entry + 8, 2) : std::nullopt;
    }
    return {};
}

namespace {

using namespace std::string_view_literals;

constexpr std::string_view exif_name = "Exif\0\0"sv; // before the TIFF file that EXIF data are

// Empty where there are none.
byte_span exif_of_jpeg(byte_span jpeg) {
    constexpr std::size_t start_of_scan = 0xda, end_of_image = 0xd9, app1 = 0xe1;
    const number_reader number(jpeg, false);
    std::size_t place = 2; // behind the marker of the start
    for (;;) {
        if (number.at(place, 1) != 0xffU) return {};
        while (number.at(place, 1) == 0xffU) ++place; // a marker may begin with several
        const auto marker = number.at(place, 1), length = number.at(place + 1, 2);
        if (!marker || marker == start_of_scan || marker == end_of_image || !length || *length < 2) return {};
        const std::size_t segment = place + 3;
        if (*length - 2 > jpeg.size() - segment) return {};
        const byte_span content = jpeg.subspan(segment, *length - 2);
        if (marker == app1 && begins_with(content, exif_name)) return content;
        place = segment + content.size();
    }
}

// Before and behind the pixels.
byte_span exif_of_png(byte_span png) {
    const number_reader number(png, false);
    for (std::size_t place = 8;;) {
        const auto length = number.at(place, 4);
        const std::size_t content = place + 8;
        if (!length || content > png.size() || *length > png.size() - content) return {};
        if (begins_with(png.subspan(place + 4), "eXIf"sv)) return png.subspan(content, *length);
        place = content + *length + 4; // a checksum
    }
}

byte_span exif_of_webp(byte_span webp) {
    const number_reader number(webp, true);
    constexpr std::size_t first_chunk = 12, flag_of_exif = 8;
    const auto flags = number.at(first_chunk + 8, 1);
    if (!flags || !begins_with(webp.subspan(first_chunk), "VP8X"sv) || (*flags & flag_of_exif) == 0)
        return {};
    for (std::size_t place = first_chunk;;) {
        const auto length = number.at(place + 4, 4);
        const std::size_t content = place + 8;
        if (!length || *length > webp.size() - content) return {};
        if (begins_with(webp.subspan(place), "EXIF"sv)) return webp.subspan(content, *length);
        place = content + *length + *length % 2;
    }
}

} // namespace

unsigned exif_orientation(byte_span photograph) noexcept {
    constexpr std::size_t tag_of_orientation = 0x0112;
    const image_format format = format_of(photograph);
    byte_span exif = format == image_format::jpeg   ? exif_of_jpeg(photograph)
                     : format == image_format::png  ? exif_of_png(photograph)
                     : format == image_format::webp ? exif_of_webp(photograph)
                                                    : byte_span();
    if (begins_with(exif, exif_name)) exif = exif.subspan(exif_name.size());
    const auto value = short_in_tiff(exif, tag_of_orientation);
    return value >= 1U && value <= 8U ? static_cast<unsigned>(*value) : upright;
}

void turn_upright(rgb_image& image, unsigned orientation) {
    if (orientation <= upright || orientation > 8) return;
    const auto width = static_cast<std::ptrdiff_t>(image.width),
               height = static_cast<std::ptrdiff_t>(image.height);
    const std::ptrdiff_t right = 3, down = 3 * width;
    // Where the upright image's first pixel lies, and the way to the next to its right and below it.
    struct walk {
        std::ptrdiff_t first, to_right, to_below;
    };
    const std::ptrdiff_t last_column = right * (width - 1), last_row = down * (height - 1);
    const std::array<walk, 8> walks{{{0, right, down},
                                     {last_column, -right, down},
                                     {last_column + last_row, -right, -down},
                                     {last_row, right, -down},
                                     {0, down, right},
                                     {last_row, -down, right},
                                     {last_column + last_row, -down, -right},
                                     {last_column, down, -right}}};
    const walk& way = walks.at(orientation - 1);
    rgb_image turned;
    turned.width = orientation >= 5 ? image.height : image.width;
    turned.height = orientation >= 5 ? image.width : image.height;
    turned.pixels.reserve(image.pixels.size() + resize_slack);
    turned.pixels.resize(image.pixels.size());
    std::uint8_t* out = turned.pixels.data();
    for (std::size_t y = 0; y < turned.height; ++y) {
        const std::uint8_t* in =
            image.pixels.data() + way.first + static_cast<std::ptrdiff_t>(y) * way.to_below;
        for (std::size_t x = 0; x < turned.width; ++x, in += way.to_right) out = std::copy_n(in, 3, out);
    }
    image = std::move(turned);
}

} // namespace petnet::data
