// SPDX-License-Identifier: Apache-2.0
// BMP: a header of one of seven sizes, colours for up to 8 bits a pixel, then rows, plain or in runs. What is
// read and what is refused follows Pillow.
#include "data/decode_formats.hpp"

#include <array>
#include <string>

namespace petnet::data::detail {
namespace {

using byte_span = std::span<const std::byte>;

std::size_t byte_at(byte_span bytes, std::size_t place) { return std::to_integer<std::size_t>(bytes[place]); }

std::size_t little_endian(byte_span bytes, std::size_t place, std::size_t count) {
    std::size_t value = 0;
    for (std::size_t i = count; i-- > 0;) value = value << 8 | byte_at(bytes, place + i);
    return value;
}

enum packing : std::size_t { plain = 0, runs_of_8_bits = 1, runs_of_4_bits = 2, bit_fields = 3 };

struct bmp_header {
    std::size_t width = 0, height = 0;
    bool top_down = false;
    std::size_t bits = 0; // of a pixel
    std::size_t packed = plain;
    std::array<std::size_t, 3> masks{}; // of red, green and blue; only with bit_fields
    std::size_t colours = 0, colours_at = 0, bytes_per_colour = 4;
    std::size_t pixels_at = 0;

    [[nodiscard]] bool in_runs() const { return packed == runs_of_8_bits || packed == runs_of_4_bits; }
    [[nodiscard]] std::size_t row_bytes() const { return (width * bits + 7) / 8; }
    [[nodiscard]] std::size_t stride() const { return (width * bits + 31) / 32 * 4; }
};

constexpr std::size_t file_header_bytes = 14;

// The field of an INFO header or a later one, behind the file's header.
std::size_t field(byte_span file, std::size_t at, std::size_t count = 4) {
    return little_endian(file, file_header_bytes + at, count);
}

void read_bit_fields(byte_span file, std::size_t header_bytes, bmp_header& header) {
    const std::size_t masks_at = file_header_bytes + 40; // in a longer header or behind the short one
    if (file.size() < masks_at + 12) throw decode_error("the BMP ends within its header");
    for (std::size_t i = 0; i < 3; ++i) header.masks[i] = little_endian(file, masks_at + 4 * i, 4);
    if (header_bytes == 40) header.colours_at = masks_at + 12;
}

void require_known_layout(const bmp_header& header) {
    constexpr std::array<std::size_t, 6> known_bits{1, 4, 8, 16, 24, 32};
    if (std::find(known_bits.begin(), known_bits.end(), header.bits) == known_bits.end())
        throw decode_error("a BMP of " + std::to_string(header.bits) + " bits a pixel");
    if (header.packed > bit_fields || (header.in_runs() && header.bits > 8))
        throw decode_error("a BMP of an unknown compression (" + std::to_string(header.packed) + ")");
    if (header.packed == bit_fields && header.bits <= 8) throw decode_error("a BMP of unknown bit fields");
    constexpr std::size_t most_colours = 65536;
    if (header.bits <= 8 && header.colours > most_colours)
        throw decode_error("a BMP of " + std::to_string(header.colours) + " colours");
}

bmp_header bmp_header_of(byte_span file) {
    constexpr std::size_t core_header = 12;
    constexpr std::array<std::size_t, 7> known_headers{core_header, 40, 52, 56, 64, 108, 124};
    if (file.size() < file_header_bytes + 4) throw decode_error("the BMP ends within its header");
    const std::size_t header_bytes = field(file, 0);
    if (std::find(known_headers.begin(), known_headers.end(), header_bytes) == known_headers.end())
        throw decode_error("a BMP with a header of " + std::to_string(header_bytes) + " bytes");
    if (file.size() < file_header_bytes + header_bytes) throw decode_error("the BMP ends within its header");

    bmp_header header;
    header.colours_at = file_header_bytes + header_bytes;
    if (header_bytes == core_header) {
        header.width = field(file, 4, 2);
        header.height = field(file, 6, 2);
        header.bits = field(file, 10, 2);
        header.bytes_per_colour = 3;
    } else {
        header.width = field(file, 4);
        header.height = field(file, 8);
        header.top_down = field(file, 11, 1) == 0xff; // a negative height
        if (header.top_down) header.height = (std::size_t{1} << 32) - header.height;
        header.bits = field(file, 14, 2);
        header.packed = field(file, 16);
        header.colours = field(file, 32);
        if (header.packed == bit_fields) read_bit_fields(file, header_bytes, header);
    }
    if (header.colours == 0 && header.bits <= 8) header.colours = std::size_t{1} << header.bits;
    require_known_layout(header);
    const std::size_t colour_bytes = header.bits <= 8 ? header.colours * header.bytes_per_colour : 0;
    header.pixels_at = little_endian(file, 10, 4);
    // Some writers say 0, or forget the colours.
    if (header.pixels_at == 0)
        header.pixels_at = header.colours_at + colour_bytes;
    else if (header.pixels_at == file_header_bytes + header_bytes)
        header.pixels_at += colour_bytes;
    return header;
}

using rgb = std::array<std::uint8_t, 3>;

// Black for an index behind the last colour. A palette of grays that are their own numbers is none: every
// index then is a gray. So Pillow has it.
std::array<rgb, 256> palette_of(byte_span file, const bmp_header& header) {
    std::array<rgb, 256> palette{};
    bool own_numbers = header.bits == 8 && header.colours > 2;
    for (std::size_t i = 0; i < std::min<std::size_t>(header.colours, palette.size()); ++i) {
        const std::size_t at = header.colours_at + i * header.bytes_per_colour;
        for (std::size_t channel = 0; channel < 3; ++channel) {
            const std::size_t place = at + 2 - channel; // blue comes first
            if (place < file.size()) palette[i][channel] = std::to_integer<std::uint8_t>(file[place]);
            own_numbers = own_numbers && palette[i][channel] == i;
        }
    }
    if (own_numbers)
        for (std::size_t i = 0; i < palette.size(); ++i) palette[i].fill(static_cast<std::uint8_t>(i));
    return palette;
}

[[noreturn]] void refuse_short() { throw decode_error("the BMP data ends early (a truncated file)"); }

// The index of each pixel, row after row from the first in the file. Pixels that are passed over are 0.
std::vector<std::uint8_t> unpack_runs(byte_span file, const bmp_header& header) {
    const std::size_t wanted = header.width * header.height;
    const bool nibbles = header.packed == runs_of_4_bits;
    std::vector<std::uint8_t> indices;
    indices.reserve(wanted);
    const auto put = [&](std::size_t pair, std::size_t i) {
        indices.push_back(static_cast<std::uint8_t>(!nibbles ? pair : i % 2 == 0 ? pair >> 4 : pair & 15));
    };
    std::size_t place = header.pixels_at, x = 0;
    while (indices.size() < wanted) {
        if (place + 2 > file.size()) break;
        const std::size_t count = byte_at(file, place), value = byte_at(file, place + 1);
        place += 2;
        if (count != 0) { // a run, which ends with the row
            const std::size_t fits =
                std::min({count, x < header.width ? header.width - x : 0, wanted - indices.size()});
            for (std::size_t i = 0; i < fits; ++i) put(value, i);
            x += fits;
        } else if (value == 0) { // the end of a row
            indices.resize((indices.size() + header.width - 1) / header.width * header.width);
            x = 0;
        } else if (value == 1) { // the end of the picture
            break;
        } else if (value == 2) { // a step to the right and up
            if (place + 2 > file.size()) break;
            const std::size_t step = byte_at(file, place) + byte_at(file, place + 1) * header.width;
            place += 2;
            indices.resize(std::min(indices.size() + step, wanted));
            x = indices.size() % header.width;
        } else { // so many pixels as they are
            const std::size_t fits = std::min(value, wanted - indices.size());
            const std::size_t bytes = nibbles ? (fits + 1) / 2 : fits;
            if (file.size() - place < bytes) break;
            for (std::size_t i = 0; i < fits; ++i) put(byte_at(file, place + (nibbles ? i / 2 : i)), i);
            place += bytes;
            place += place % 2;
            x += value;
        }
    }
    if (indices.size() < wanted) refuse_short();
    return indices;
}

// Where in a pixel's bytes each of red, green and blue is.
std::array<std::size_t, 3> places_of_channels(const bmp_header& header) {
    std::array<std::size_t, 3> places{2, 1, 0};
    if (header.packed != bit_fields || header.masks == std::array<std::size_t, 3>{}) return places;
    for (std::size_t i = 0; i < 3; ++i) {
        places[i] = 0;
        while (places[i] < header.bits / 8 && header.masks[i] != std::size_t{0xff} << (8 * places[i]))
            ++places[i];
        if (places[i] == header.bits / 8) throw decode_error("a BMP of unknown bit fields");
    }
    return places;
}

// How many of a 16-bit pixel's bits are green: 5 or 6.
unsigned green_bits(const bmp_header& header) {
    if (header.packed != bit_fields || header.masks == std::array<std::size_t, 3>{0x7c00, 0x3e0, 0x1f})
        return 5;
    if (header.masks != std::array<std::size_t, 3>{0xf800, 0x7e0, 0x1f})
        throw decode_error("a BMP of unknown bit fields");
    return 6;
}

// Writes a row of pixels from the file's.
class row_reader {
  public:
    row_reader(byte_span file, const bmp_header& header) : header_(header) {
        if (header.bits <= 8)
            palette_ = palette_of(file, header);
        else if (header.bits == 16)
            green_bits_ = green_bits(header);
        else
            places_ = places_of_channels(header);
    }

    [[nodiscard]] const rgb& colour(std::size_t index) const { return palette_.at(index); }

    void operator()(byte_span row, std::uint8_t* out) const {
        for (std::size_t x = 0; x < header_.width; ++x, out += 3) {
            const rgb pixel = header_.bits <= 8    ? indexed(row, x)
                              : header_.bits == 16 ? packed(row, x)
                                                   : plain(row, x);
            std::copy(pixel.begin(), pixel.end(), out);
        }
    }

  private:
    [[nodiscard]] rgb indexed(byte_span row, std::size_t x) const {
        const std::size_t bit = x * header_.bits;
        return palette_.at(byte_at(row, bit / 8) >> (8 - header_.bits - bit % 8) &
                           ((1U << header_.bits) - 1));
    }
    [[nodiscard]] rgb packed(byte_span row, std::size_t x) const {
        const auto pixel = static_cast<unsigned>(little_endian(row, 2 * x, 2));
        const unsigned most_green = (1U << green_bits_) - 1;
        return {static_cast<std::uint8_t>((pixel >> (5 + green_bits_) & 31) * 255 / 31),
                static_cast<std::uint8_t>((pixel >> 5 & most_green) * 255 / most_green),
                static_cast<std::uint8_t>((pixel & 31) * 255 / 31)};
    }
    [[nodiscard]] rgb plain(byte_span row, std::size_t x) const {
        rgb pixel{};
        for (std::size_t i = 0; i < 3; ++i)
            pixel[i] = std::to_integer<std::uint8_t>(row[x * header_.bits / 8 + places_[i]]);
        return pixel;
    }

    const bmp_header& header_;
    std::array<rgb, 256> palette_{};
    std::array<std::size_t, 3> places_{};
    unsigned green_bits_ = 0;
};

picture_size size_of(const bmp_header& header) {
    const bool sensible = header.height == 0 || header.width <= max_decode_bytes / header.height;
    return {header.width, header.height, header.in_runs() && sensible ? header.width * header.height : 0};
}

} // namespace

picture_size size_of_bmp(byte_span bytes) { return size_of(bmp_header_of(bytes)); }

void decode_bmp(byte_span bytes, rgb_image& image) {
    const bmp_header header = bmp_header_of(bytes);
    // A bit for each pixel; in runs, four bytes for a step over 255 rows and more.
    const std::size_t pixels_per_byte = header.in_runs() ? 64 * (header.width + 1) : 8;
    take_size(size_of(header), bytes.size(), pixels_per_byte, image);
    const row_reader reader(bytes, header);
    const auto line = [&](std::size_t row) { // from the first in the file
        return image.pixels.data() + (header.top_down ? row : header.height - 1 - row) * header.width * 3;
    };
    if (header.in_runs()) {
        const std::vector<std::uint8_t> indices = unpack_runs(bytes, header);
        for (std::size_t row = 0; row < header.height; ++row) {
            std::uint8_t* out = line(row);
            for (std::size_t x = 0; x < header.width; ++x) {
                const rgb& colour = reader.colour(indices[row * header.width + x]);
                out = std::copy(colour.begin(), colour.end(), out);
            }
        }
        return;
    }
    // The padding behind the last row may be missing.
    const std::size_t needed = (header.height - 1) * header.stride() + header.row_bytes();
    if (header.pixels_at > bytes.size() || bytes.size() - header.pixels_at < needed) refuse_short();
    for (std::size_t row = 0; row < header.height; ++row)
        reader(bytes.subspan(header.pixels_at + row * header.stride(), header.row_bytes()), line(row));
}

} // namespace petnet::data::detail
