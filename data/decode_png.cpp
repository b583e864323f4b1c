// SPDX-License-Identifier: Apache-2.0
// PNG by libpng's progressive reader: it hands out each row as soon as it is unpacked. So a file that ends
// behind its last row is read, whatever else is missing, and one that ends before is not: as Pillow has it.
// Nor does Pillow look at the checksums of the chunks of pixels; theirs is the one of the compressed data.
#include "data/decode_formats.hpp"

#include <array>
#include <cctype>
#include <csetjmp>
#include <new>
#include <string>

#include <png.h>

namespace petnet::data::detail {
namespace {

std::size_t big_endian_32(std::span<const std::byte> bytes) {
    std::size_t value = 0;
    for (std::byte byte : bytes.first(4)) value = value << 8 | std::to_integer<std::size_t>(byte);
    return value;
}

struct png_header {
    std::size_t width = 0, height = 0;
    unsigned bits = 0, colour_type = 0;
    bool interlaced = false;
};

constexpr std::size_t signature_bytes = 8, chunk_head_bytes = 8, checksum_bytes = 4;

// libpng checks what it says once more.
png_header png_header_of(std::span<const std::byte> bytes) {
    constexpr std::size_t at = signature_bytes + chunk_head_bytes, header_bytes = 13;
    if (bytes.size() < at + header_bytes) throw decode_error("the PNG ends within its header");
    return {big_endian_32(bytes.subspan(at)), big_endian_32(bytes.subspan(at + 4)),
            std::to_integer<unsigned>(bytes[at + 8]), std::to_integer<unsigned>(bytes[at + 9]),
            bytes[at + 12] != std::byte{0}};
}

picture_size size_of(const png_header& header) {
    // libpng keeps two rows, of up to four channels of two bytes, and zlib its window.
    constexpr std::size_t row_bytes_per_pixel = 2 * 4 * 2, working_bytes = 1 << 17;
    return {header.width, header.height, header.width * row_bytes_per_pixel + working_bytes};
}

struct chunk_run {
    std::span<const std::byte> bytes; // from the signature to the end of the pixels' chunks
    bool is_cut = false;              // the file ends within one of these
};

// Pixels are in chunks named IDAT that follow each other. A chunk behind them may be missing, but where it
// begins, it must be whole.
chunk_run up_to_pixels(std::span<const std::byte> file) {
    bool pixels_begun = false;
    std::size_t end_of_pixels = file.size();
    for (std::size_t place = signature_bytes; file.size() - place >= chunk_head_bytes;) {
        const std::size_t length = big_endian_32(file.subspan(place));
        const auto* text = reinterpret_cast<const char*>(file.data() + place + 4);
        const std::string name(text, text + 4);
        const std::size_t left = file.size() - place - chunk_head_bytes;
        if (name == "IDAT" && end_of_pixels == file.size()) {
            pixels_begun = true;
            if (left < length + checksum_bytes) return {file, left < length};
        } else if (pixels_begun) {
            end_of_pixels = std::min(end_of_pixels, place);
            const bool is_name = std::all_of(name.begin(), name.end(), [](unsigned char letter) {
                return std::isalnum(letter) != 0 || letter == '_';
            });
            if (name == "IEND" || !is_name) break;
            if (left < length) throw decode_error("the PNG ends within its chunk " + name);
            if (left < length + checksum_bytes) break;
        } else if (left < length + checksum_bytes) {
            throw decode_error("the PNG ends before its pixels");
        }
        place += chunk_head_bytes + length + checksum_bytes;
    }
    return {file.first(end_of_pixels), false};
}

// The pixels of each pass of an interlaced picture: every to_right-th from x, in every to_below-th row from
// y.
struct pass_grid {
    std::size_t x, y, to_right, to_below;
};
constexpr std::array<pass_grid, 7> passes{
    {{0, 0, 8, 8}, {4, 0, 8, 8}, {0, 4, 4, 8}, {2, 0, 4, 4}, {0, 2, 2, 4}, {1, 0, 2, 2}, {0, 1, 1, 2}}};
constexpr pass_grid whole_picture{0, 0, 1, 1};

std::size_t count_from(std::size_t first, std::size_t step, std::size_t end) {
    return first < end ? (end - first + step - 1) / step : 0;
}

// libpng reports errors by a function that must not return, as libjpeg does (decode_jpeg.cpp): everything
// that has a destructor is made before.
class png_decoder {
  public:
    png_decoder(const png_header& header, rgb_image& image) : header_(header), image_(image) {
        guarded([this] {
            png_ = png_create_read_struct(PNG_LIBPNG_VER_STRING, this, on_error, on_warning);
            info_ = png_ != nullptr ? png_create_info_struct(png_) : nullptr;
        });
        if (info_ == nullptr) {
            png_destroy_read_struct(&png_, nullptr, nullptr);
            throw std::bad_alloc();
        }
    }
    ~png_decoder() { png_destroy_read_struct(&png_, &info_, nullptr); }
    png_decoder(const png_decoder&) = delete; // libpng keeps pointers into it
    png_decoder& operator=(const png_decoder&) = delete;

    void read(std::span<const std::byte> bytes) {
        guarded([this, bytes] {
            png_set_user_limits(png_, PNG_UINT_31_MAX, PNG_UINT_31_MAX); // take_size has limited them
            png_set_crc_action(png_, PNG_CRC_ERROR_QUIT, PNG_CRC_ERROR_QUIT);
            png_set_keep_unknown_chunks(png_, PNG_HANDLE_CHUNK_NEVER, nullptr, -1);
            png_set_benign_errors(png_, 1);
            png_set_progressive_read_fn(png_, this, on_header, on_row, nullptr);
            // libpng only reads what it is given.
            auto* data = reinterpret_cast<png_bytep>(const_cast<std::byte*>(bytes.data()));
            png_process_data(png_, info_, data, bytes.size());
        });
    }

    [[nodiscard]] bool has_all_rows() const {
        std::size_t rows = 0;
        if (!header_.interlaced)
            rows = header_.height;
        else
            for (const pass_grid& pass : passes)
                if (pass.x < header_.width) rows += count_from(pass.y, pass.to_below, header_.height);
        return rows_ == rows;
    }

  private:
    template <class call_type> void guarded(const call_type& call) {
        if (setjmp(back_) != 0) throw decode_error(std::string("a corrupt PNG: ") + reason_.data());
        call();
    }

    static png_decoder& owner(png_structp png) { return *static_cast<png_decoder*>(png_get_error_ptr(png)); }

    static void on_error(png_structp png, png_const_charp message) {
        png_decoder& self = owner(png);
        std::string_view text(message);
        while (text.starts_with("IDAT: ")) text.remove_prefix(6); // the chunk of pixels, named twice
        std::copy_n(text.begin(), std::min(text.size(), self.reason_.size() - 1), self.reason_.begin());
        std::longjmp(self.back_, 1);
    }
    static void on_warning(png_structp, png_const_charp) {}

    static void on_header(png_structp png, png_infop info) {
        png_decoder& self = owner(png);
        png_colorp colours = nullptr;
        int count = 0;
        if (png_get_PLTE(png, info, &colours, &count) != 0)
            std::copy_n(colours, std::min<std::size_t>(static_cast<std::size_t>(count), 256),
                        self.palette_.begin());
        png_set_packing(png); // a byte for a sample of less
        // From here on damage counts only where it is in the compressed data.
        png_set_crc_action(png, PNG_CRC_QUIET_USE, PNG_CRC_QUIET_USE);
        png_set_benign_errors(png, 0);
        png_start_read_image(png);
    }

    static void on_row(png_structp png, png_bytep row, png_uint_32 number, int pass) {
        png_decoder& self = owner(png);
        if (row == nullptr) return;
        const bool interlaced = self.header_.interlaced;
        const pass_grid& grid = interlaced ? passes[static_cast<std::size_t>(pass)] : whole_picture;
        const std::size_t y = grid.y + number * grid.to_below;
        if (y >= self.header_.height) return;
        ++self.rows_;
        std::uint8_t* out = self.image_.pixels.data() + (y * self.header_.width + grid.x) * 3;
        self.spread(row, count_from(grid.x, grid.to_right, self.header_.width), out, grid.to_right * 3);
    }

    // `count` pixels of a row as stored, to every `step`-th byte of `out`.
    void spread(const std::uint8_t* in, std::size_t count, std::uint8_t* out, std::size_t step) const {
        const bool deep = header_.bits == 16; // samples of two bytes, the high one first
        switch (header_.colour_type) {
        case PNG_COLOR_TYPE_GRAY: {
            const unsigned scale = header_.bits < 8 ? 255U / ((1U << header_.bits) - 1) : 1U;
            for (std::size_t i = 0; i < count; ++i, out += step)
                std::fill_n(out, 3,
                            static_cast<std::uint8_t>(deep ? (in[2 * i] != 0 ? 255U : in[2 * i + 1])
                                                           : in[i] * scale));
            return;
        }
        case PNG_COLOR_TYPE_GRAY_ALPHA:
            for (std::size_t i = 0; i < count; ++i, out += step) std::fill_n(out, 3, in[i * (deep ? 4 : 2)]);
            return;
        case PNG_COLOR_TYPE_PALETTE:
            for (std::size_t i = 0; i < count; ++i, out += step) {
                const png_color& colour = palette_[in[i]];
                out[0] = colour.red;
                out[1] = colour.green;
                out[2] = colour.blue;
            }
            return;
        default: {
            const std::size_t sample = deep ? 2 : 1;
            const std::size_t pixel = sample * (header_.colour_type == PNG_COLOR_TYPE_RGB ? 3 : 4);
            for (std::size_t i = 0; i < count; ++i, in += pixel, out += step)
                for (std::size_t channel = 0; channel < 3; ++channel) out[channel] = in[channel * sample];
        }
        }
    }

    const png_header header_;
    rgb_image& image_;
    png_structp png_ = nullptr;
    png_infop info_ = nullptr;
    std::array<png_color, 256> palette_{}; // black where the file names no colour
    std::size_t rows_ = 0;
    std::array<char, 200> reason_{};
    std::jmp_buf back_{};
};

} // namespace

picture_size size_of_png(std::span<const std::byte> bytes) { return size_of(png_header_of(bytes)); }

void decode_png(std::span<const std::byte> bytes, rgb_image& image) {
    const png_header header = png_header_of(bytes);
    constexpr std::size_t pixels_per_byte = 1032 * 8; // deflate packs 1032 bytes of eight pixels into one
    const chunk_run chunks = up_to_pixels(bytes);
    take_size(size_of(header), bytes.size(), pixels_per_byte, image);
    png_decoder decoder(header, image);
    decoder.read(chunks.bytes);
    if (decoder.has_all_rows()) return;
    throw decode_error(chunks.is_cut ? "the PNG data ends early (a truncated file)"
                                     : "the PNG holds fewer rows than its header says");
}

} // namespace petnet::data::detail
