// SPDX-License-Identifier: Apache-2.0
#include "data/tiff_pixels.hpp"

#include "data/decode_formats.hpp"

#include <cstring>
#include <string>

namespace petnet::data::detail {
namespace {

enum : unsigned { white_is_zero = 0, black_is_zero = 1, colours = 2, palette = 3, inks = 5 };
enum : unsigned { unsigned_numbers = 1, signed_numbers = 2, real_numbers = 3 };
enum : unsigned { colours_contain_transparency = 1, transparency = 2 };

unsigned channels_of(const tiff_layout& layout) {
    return layout.photometric == colours ? 3 : layout.photometric == inks ? 4 : 1;
}

// Samples of a row of one channel, each `step` bytes behind the other.
struct sample_row {
    const std::uint8_t* first;
    std::size_t step;

    template <class number> [[nodiscard]] number at(std::size_t i) const {
        number value{};
        std::memcpy(&value, first + i * step, sizeof value);
        return value;
    }
    [[nodiscard]] unsigned operator[](std::size_t i) const { return first[i * step]; }
};

// The high byte of each sample of a channel; the whole one where it is of 8 bits.
sample_row channel_of(const tiff_layout& layout, std::span<const std::uint8_t* const> rows,
                      std::size_t channel) {
    const std::size_t bytes = layout.bits / 8;
    return rows.size() > 1 ? sample_row{rows[channel] + bytes - 1, bytes}
                           : sample_row{rows[0] + channel * bytes + bytes - 1, bytes * layout.samples};
}

template <class number> std::uint8_t limited(number value) { // cut off, not rounded; 0 for what is no number
    return value > number{255} ? std::uint8_t{255}
           : value > number{0} ? static_cast<std::uint8_t>(value)
                               : std::uint8_t{0};
}

// One channel of up to 8 bits: a gray or a number in the palette.
void from_numbers(const tiff_layout& layout, const std::uint8_t* row, std::size_t count, std::uint8_t* out) {
    const unsigned most = (1U << layout.bits) - 1;
    const std::size_t step = layout.bits == 8 ? std::size_t{8} * layout.samples : layout.bits;
    for (std::size_t i = 0; i < count; ++i, out += 3) {
        const std::size_t bit = i * step;
        const unsigned number = row[bit / 8] >> (8 - layout.bits - bit % 8) & most;
        if (layout.photometric == palette)
            std::copy(layout.colours[number].begin(), layout.colours[number].end(), out);
        else
            std::fill_n(out, 3,
                        static_cast<std::uint8_t>(
                            (layout.photometric == white_is_zero ? most - number : number) * (255 / most)));
    }
}

template <class number> void from_large_grays(const std::uint8_t* row, std::size_t count, std::uint8_t* out) {
    const sample_row samples{row, sizeof(number)};
    for (std::size_t i = 0; i < count; ++i) std::fill_n(out + 3 * i, 3, limited(samples.at<number>(i)));
}

void from_colours(const tiff_layout& layout, std::span<const std::uint8_t* const> rows, std::size_t count,
                  std::uint8_t* out) {
    const std::array<sample_row, 3> samples{channel_of(layout, rows, 0), channel_of(layout, rows, 1),
                                            channel_of(layout, rows, 2)};
    for (std::size_t i = 0; i < count; ++i)
        for (const sample_row& channel : samples) *out++ = static_cast<std::uint8_t>(channel[i]);
    if (layout.extras == 0 || layout.extra_kind != colours_contain_transparency) return;
    const sample_row opaque = channel_of(layout, rows, 3);
    out -= 3 * count;
    for (std::size_t i = 0; i < 3 * count; ++i) {
        const unsigned alpha = opaque[i / 3];
        out[i] = alpha == 0 ? std::uint8_t{0} : limited(out[i] * 255U / alpha);
    }
}

void from_inks(const tiff_layout& layout, std::span<const std::uint8_t* const> rows, std::size_t count,
               std::uint8_t* out) {
    const sample_row black = channel_of(layout, rows, 3);
    for (std::size_t channel = 0; channel < 3; ++channel) {
        const sample_row ink = channel_of(layout, rows, channel);
        for (std::size_t i = 0; i < count; ++i)
            out[3 * i + channel] = without_ink(static_cast<int>(ink[i]), 255 - static_cast<int>(black[i]));
    }
}

bool is_known(const tiff_layout& layout) {
    const auto [photometric, bits, samples, format, extras, extra_kind, unused] = layout;
    if (samples != channels_of(layout) + extras && !(photometric == colours && samples == 4 && extras == 0))
        return false;
    switch (photometric) {
    case white_is_zero:
    case black_is_zero:
        if (samples > 1)
            return photometric == black_is_zero && bits == 8 && format == unsigned_numbers && extras == 1 &&
                   (extra_kind == 0 || extra_kind == transparency);
        if (bits == 32) return format >= unsigned_numbers && format <= real_numbers;
        if (format == signed_numbers) return bits == 8 || bits == 16;
        return format == unsigned_numbers && (bits == 1 || bits == 2 || bits == 4 || bits == 8 || bits == 16);
    case palette:
        return format == unsigned_numbers &&
               (bits == 8 ? extras <= 1 : extras == 0 && (bits == 1 || bits == 2 || bits == 4));
    case colours:
        return format == unsigned_numbers && ((bits == 8 && extras <= 3) || (bits == 16 && extras <= 1));
    case inks:
        return format == unsigned_numbers &&
               ((bits == 8 && extras <= 2 && extra_kind == 0) || (bits == 16 && extras == 0));
    default:
        return false;
    }
}

} // namespace

void require_known(const tiff_layout& layout) {
    if (!is_known(layout))
        throw decode_error("a TIFF of pixels that petnet does not know (photometric interpretation " +
                           std::to_string(layout.photometric) + ", " + std::to_string(layout.samples) +
                           " samples of " + std::to_string(layout.bits) + " bits)");
}

std::size_t row_bytes_of(const tiff_layout& layout, std::size_t width, bool planar) {
    return (width * layout.bits * (planar ? 1 : layout.samples) + 7) / 8;
}

void to_pixels(const tiff_layout& layout, std::span<const std::uint8_t* const> rows, std::size_t count,
               std::uint8_t* out) {
    if (layout.photometric == colours) return from_colours(layout, rows, count, out);
    if (layout.photometric == inks) return from_inks(layout, rows, count, out);
    if (layout.bits <= 8) {
        tiff_layout of_row = layout;
        if (rows.size() > 1) of_row.samples = 1;
        return from_numbers(of_row, rows[0], count, out);
    }
    if (layout.bits == 16)
        return layout.sample_format == signed_numbers ? from_large_grays<std::int16_t>(rows[0], count, out)
                                                      : from_large_grays<std::uint16_t>(rows[0], count, out);
    // Pillow takes whole numbers without a sign for ones with it.
    return layout.sample_format == real_numbers ? from_large_grays<float>(rows[0], count, out)
                                                : from_large_grays<std::int32_t>(rows[0], count, out);
}

} // namespace petnet::data::detail
