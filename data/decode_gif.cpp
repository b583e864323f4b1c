// SPDX-License-Identifier: Apache-2.0
// The first frame of a GIF by giflib, as Pillow shows it: on the whole screen, what the frame does not cover
// in the transparent colour or else the first, and transparent pixels in the colour that the palette has for
// them.
#include "data/decode_formats.hpp"

#include <array>
#include <cstring>
#include <memory>
#include <optional>

#include <gif_lib.h>

namespace petnet::data::detail {
namespace {

using palette = std::array<std::array<std::uint8_t, 3>, 256>;

// The pixels behind giflib's codes. giflib's own expansion also takes codes that stand for nothing yet, so
// that damage would go unnoticed.
class lzw_pixels {
  public:
    explicit lzw_pixels(unsigned bits) : clear_(1U << bits), next_(clear_ + 2) {}

    // `code_of(code)` gives the next code, below 0 behind the last. False where there are fewer pixels.
    template <class code_source> bool read(std::span<std::uint8_t> to, const code_source& code_of) {
        for (std::uint8_t& pixel : to) {
            while (pending_ == 0)
                if (const int code = code_of(); code < 0 || !expand(static_cast<unsigned>(code)))
                    return false;
            pixel = string_[--pending_];
        }
        return true;
    }

  private:
    static constexpr unsigned most_codes = 4096, none = most_codes;

    // Puts the string of a code into string_, the last pixel first. False for a code that stands for nothing.
    bool expand(unsigned code) {
        if (code == clear_) {
            next_ = clear_ + 2;
            last_ = none;
            return true;
        }
        const bool is_known = code < clear_ || (code > clear_ + 1 && code < next_);
        const bool is_the_next = code == next_ && next_ < most_codes && last_ != none;
        if (!is_known && !is_the_next) return false;
        if (is_the_next) ++pending_; // its last pixel is its first
        for (unsigned rest = is_the_next ? last_ : code;; rest = prefix_[rest]) {
            string_[pending_++] = rest < clear_ ? static_cast<std::uint8_t>(rest) : suffix_[rest];
            if (rest < clear_) break;
        }
        const std::uint8_t first = string_[pending_ - 1];
        if (is_the_next) string_[0] = first;
        if (last_ != none && next_ < most_codes) {
            prefix_[next_] = static_cast<std::uint16_t>(last_);
            suffix_[next_++] = first;
        }
        last_ = code;
        return true;
    }

    unsigned clear_, next_, last_ = none;
    std::array<std::uint16_t, most_codes> prefix_{};
    std::array<std::uint8_t, most_codes> suffix_{};
    std::array<std::uint8_t, most_codes + 1> string_{};
    std::size_t pending_ = 0;
};

class gif_decoder {
  public:
    explicit gif_decoder(std::span<const std::byte> bytes) : bytes_(bytes) {
        int error = 0;
        gif_.reset(DGifOpen(this, read, &error));
        if (gif_ == nullptr) refuse(error);
    }
    gif_decoder(const gif_decoder&) = delete; // giflib keeps its address
    gif_decoder& operator=(const gif_decoder&) = delete;

    // Up to where the first frame's pixels begin.
    picture_size read_header() {
        GifRecordType record = UNDEFINED_RECORD_TYPE;
        while (record != IMAGE_DESC_RECORD_TYPE) {
            check(DGifGetRecordType(gif_.get(), &record));
            if (record == EXTENSION_RECORD_TYPE) read_extension();
            if (record == TERMINATE_RECORD_TYPE) throw decode_error("a GIF without a picture");
        }
        check(DGifGetImageDesc(gif_.get()));
        code_bits_ = last_read_; // the last before the pixels, which giflib keeps to itself
        if (gif_->Image.Width <= 0 || gif_->Image.Height <= 0)
            throw decode_error("the GIF's first picture has no pixels");
        constexpr std::size_t working_bytes = 1 << 16;
        const int width = std::max(gif_->SWidth, gif_->Image.Left + gif_->Image.Width);
        const int height = std::max(gif_->SHeight, gif_->Image.Top + gif_->Image.Height);
        return {static_cast<std::size_t>(width), static_cast<std::size_t>(height),
                static_cast<std::size_t>(gif_->Image.Width) + working_bytes};
    }

    // `image` has the size that read_header() gave.
    void read_pixels(rgb_image& image) {
        const palette colours = read_palette();
        const auto& background = colours[transparent_.value_or(0)];
        for (std::size_t i = 0; i < image.pixels.size(); i += 3)
            std::copy(background.begin(), background.end(),
                      image.pixels.begin() + static_cast<std::ptrdiff_t>(i));
        lzw_pixels pixels(code_bits_);
        if (!gif_->Image.Interlace) return read_rows(colours, 0, 1, pixels, image);
        constexpr std::array<std::array<int, 2>, 4> passes{{{0, 8}, {4, 8}, {2, 4}, {1, 2}}};
        for (const auto& [first, step] : passes) read_rows(colours, first, step, pixels, image);
    }

  private:
    struct closes {
        void operator()(GifFileType* gif) const { DGifCloseFile(gif, nullptr); }
    };

    [[noreturn]] static void refuse(int error) {
        constexpr std::array<int, 4> at_the_end{D_GIF_ERR_READ_FAILED, D_GIF_ERR_EOF_TOO_SOON,
                                                D_GIF_ERR_NO_SCRN_DSCR, D_GIF_ERR_NO_IMAG_DSCR};
        if (std::find(at_the_end.begin(), at_the_end.end(), error) != at_the_end.end())
            throw decode_error("the GIF data ends early (a truncated file)");
        const char* text = GifErrorString(error);
        throw decode_error(std::string("a corrupt GIF: ") + (text != nullptr ? text : "unknown damage"));
    }

    void check(int status) const {
        if (status == GIF_ERROR) refuse(gif_->Error);
    }

    static int read(GifFileType* gif, GifByteType* to, int wanted) {
        return static_cast<gif_decoder*>(gif->UserData)->read(to, static_cast<std::size_t>(wanted));
    }

    int read(GifByteType* to, std::size_t wanted) {
        const std::size_t count = std::min(wanted, bytes_.size());
        std::memcpy(to, bytes_.data(), count);
        bytes_ = bytes_.subspan(count);
        if (count != 0) last_read_ = to[count - 1];
        return static_cast<int>(count);
    }

    void read_extension() {
        int code = 0;
        GifByteType* block = nullptr; // its length comes first
        check(DGifGetExtension(gif_.get(), &code, &block));
        const bool has_transparent_colour =
            code == GRAPHICS_EXT_FUNC_CODE && block != nullptr && block[0] >= 4 && (block[1] & 1) != 0;
        if (has_transparent_colour) transparent_ = block[4];
        while (block != nullptr) check(DGifGetExtensionNext(gif_.get(), &block));
    }

    // Of the frame, or else of the file. Pillow takes one that says of each number the same gray, or none at
    // all, for a gray picture; otherwise an index behind the last colour is black.
    [[nodiscard]] palette read_palette() const {
        const ColorMapObject* map = gif_->Image.ColorMap != nullptr ? gif_->Image.ColorMap : gif_->SColorMap;
        palette grays{}, colours{};
        for (std::size_t i = 0; i < grays.size(); ++i) grays[i].fill(static_cast<std::uint8_t>(i));
        if (map == nullptr) return grays;
        const auto count = std::min<std::size_t>(static_cast<std::size_t>(map->ColorCount), colours.size());
        for (std::size_t i = 0; i < count; ++i)
            colours[i] = {map->Colors[i].Red, map->Colors[i].Green, map->Colors[i].Blue};
        return std::equal(colours.begin(), colours.begin() + static_cast<std::ptrdiff_t>(count),
                          grays.begin())
                   ? grays
                   : colours;
    }

    int next_code() const {
        int code = 0; // giflib's -1 behind the last
        check(DGifGetLZCodes(gif_.get(), &code));
        return code;
    }

    void read_rows(const palette& colours, int first, int step, lzw_pixels& pixels, rgb_image& image) const {
        const GifImageDesc& frame = gif_->Image;
        std::vector<std::uint8_t> row(static_cast<std::size_t>(frame.Width));
        bool ended = false;
        const auto code_of = [&] {
            const int code = next_code();
            ended = code < 0;
            return code;
        };
        for (int y = first; y < frame.Height; y += step) {
            if (!pixels.read(row, code_of)) refuse(ended ? D_GIF_ERR_EOF_TOO_SOON : D_GIF_ERR_IMAGE_DEFECT);
            const auto start =
                static_cast<std::size_t>(frame.Top + y) * image.width + static_cast<std::size_t>(frame.Left);
            std::uint8_t* out = image.pixels.data() + 3 * start;
            for (const std::uint8_t index : row)
                out = std::copy(colours[index].begin(), colours[index].end(), out);
        }
    }

    std::span<const std::byte> bytes_; // that are not read yet
    std::uint8_t last_read_ = 0, code_bits_ = 0;
    std::optional<std::uint8_t> transparent_;
    std::unique_ptr<GifFileType, closes> gif_;
};

} // namespace

picture_size size_of_gif(std::span<const std::byte> bytes) { return gif_decoder(bytes).read_header(); }

void decode_gif(std::span<const std::byte> bytes, rgb_image& image) {
    gif_decoder decoder(bytes);
    constexpr std::size_t pixels_per_byte = 4096; // the most that a code of LZW names
    take_size(decoder.read_header(), bytes.size(), pixels_per_byte, image);
    decoder.read_pixels(image);
}

} // namespace petnet::data::detail
