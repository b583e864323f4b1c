// SPDX-License-Identifier: Apache-2.0
// JPEG by libjpeg-turbo through its libjpeg interface. TurboJPEG's reports only the first warning of a file,
// so that a file both slightly corrupt (which Pillow tolerates) and truncated (which it does not) could not
// be told; here the data source itself says when the bytes ran out. It also lets memory and scans be bounded.
#include "data/decode_formats.hpp"

#include <algorithm>
#include <array>
#include <csetjmp>
#include <cstdio>

#include <jerror.h>
#include <jpeglib.h>

namespace petnet::data::detail {
namespace {

// An honest progressive JPEG has about ten scans. Each scan costs a pass over the picture however few bytes
// it has, so a small file with many could keep a processor busy for hours.
constexpr int max_scans = 100;
constexpr double max_scanned_pixels = 2e9;

// libjpeg reports errors by a function that must not return: it jumps back to the call. Between setjmp and
// the jump no object with a destructor may come to life, so everything lives in this class, made before.
class jpeg_decoder {
  public:
    explicit jpeg_decoder(std::span<const std::byte> bytes) {
        info_.err = jpeg_std_error(&errors_);
        errors_.error_exit = [](j_common_ptr info) { owner(info).fail(); };
        errors_.output_message = [](j_common_ptr) {};
        info_.client_data = this;
        guarded([this] { jpeg_create_decompress(&info_); });

        source_.next_input_byte = reinterpret_cast<const JOCTET*>(bytes.data());
        source_.bytes_in_buffer = bytes.size();
        source_.init_source = [](j_decompress_ptr) {};
        source_.term_source = [](j_decompress_ptr) {};
        source_.resync_to_restart = jpeg_resync_to_restart;
        source_.fill_input_buffer = [](j_decompress_ptr info) -> boolean {
            ERREXIT(info, JERR_INPUT_EMPTY);
            return FALSE;
        };
        source_.skip_input_data = [](j_decompress_ptr info, long count) {
            if (count <= 0) return;
            if (static_cast<std::size_t>(count) > info->src->bytes_in_buffer) ERREXIT(info, JERR_INPUT_EMPTY);
            info->src->next_input_byte += count;
            info->src->bytes_in_buffer -= static_cast<std::size_t>(count);
        };
        info_.src = &source_;

        progress_.progress_monitor = [](j_common_ptr info) {
            const auto& decompress = *reinterpret_cast<j_decompress_ptr>(info);
            const int scans = decompress.input_scan_number;
            if (scans > max_scans ||
                static_cast<double>(decompress.image_width) * decompress.image_height * scans >
                    max_scanned_pixels)
                ERREXIT(info, JERR_BAD_PROGRESSION);
        };
        info_.progress = &progress_;
    }
    ~jpeg_decoder() { jpeg_destroy_decompress(&info_); }
    jpeg_decoder(const jpeg_decoder&) = delete; // libjpeg keeps pointers into it
    jpeg_decoder& operator=(const jpeg_decoder&) = delete;

    void read_header() {
        guarded([this] { jpeg_read_header(&info_, TRUE); });
        if (info_.num_components == 2)
            throw decode_error("a JPEG with 2 components is neither gray, colour nor CMYK");
    }
    // With several scans all coefficients are kept, two bytes each.
    [[nodiscard]] picture_size size() {
        return {width(), height(), jpeg_has_multiple_scans(&info_) != 0 ? 6 * width() * height() : 0};
    }
    [[nodiscard]] bool is_cmyk() const { return info_.num_components == 4; }

    // `pixels` (height, width, 3); `cmyk_row` (width, 4), only used where is_cmyk().
    // `taken`: bytes of the file and the pixels.
    void read_pixels(std::uint8_t* pixels, std::uint8_t* cmyk_row, std::size_t taken) {
        // The whole-image coefficients of a progressive JPEG; beyond the limit libjpeg would want a file.
        info_.mem->max_memory_to_use = static_cast<long>(std::max<std::size_t>(max_decode_bytes - taken, 1));
        info_.out_color_space = is_cmyk() ? JCS_CMYK : JCS_RGB;
        if (is_cmyk())
            guarded([=, this] { read_cmyk_rows(pixels, cmyk_row); });
        else
            guarded([=, this] { read_rgb_rows(pixels); });
    }

  private:
    [[nodiscard]] std::size_t width() const { return info_.image_width; }
    [[nodiscard]] std::size_t height() const { return info_.image_height; }

    template <class call_type> void guarded(const call_type& call) {
        if (setjmp(back_) != 0) throw decode_error(reason());
        call();
    }

    static jpeg_decoder& owner(j_common_ptr info) { return *static_cast<jpeg_decoder*>(info->client_data); }

    [[noreturn]] void fail() { longjmp(back_, 1); }

    std::string reason() {
        switch (errors_.msg_code) {
        case JERR_INPUT_EMPTY:
            return "the JPEG data ends early (a truncated file)";
        case JERR_NO_BACKING_STORE:
        case JERR_OUT_OF_MEMORY:
            refuse_size(width(), height());
        case JERR_BAD_PROGRESSION:
            return "the JPEG has too many scans or a scan that makes no sense";
        default:
            break;
        }
        std::array<char, JMSG_LENGTH_MAX> text{};
        errors_.format_message(reinterpret_cast<j_common_ptr>(&info_), text.data());
        return std::string("a corrupt JPEG: ") + text.data();
    }

    void read_rgb_rows(std::uint8_t* pixels) {
        jpeg_start_decompress(&info_);
        constexpr std::size_t at_once = 16; // libjpeg hands out as many as it has, at most 4
        std::array<JSAMPROW, at_once> rows;
        const std::size_t row_bytes = width() * 3;
        while (info_.output_scanline < info_.output_height) {
            const std::size_t first = info_.output_scanline;
            const std::size_t count = std::min(at_once, height() - first);
            for (std::size_t i = 0; i < count; ++i) rows[i] = pixels + (first + i) * row_bytes;
            jpeg_read_scanlines(&info_, rows.data(), static_cast<JDIMENSION>(count));
        }
        jpeg_finish_decompress(&info_);
    }

    void read_cmyk_rows(std::uint8_t* pixels, std::uint8_t* cmyk_row) {
        jpeg_start_decompress(&info_);
        while (info_.output_scanline < info_.output_height) {
            std::uint8_t* row = pixels + std::size_t{info_.output_scanline} * width() * 3;
            jpeg_read_scanlines(&info_, &cmyk_row, 1);
            cmyk_to_rgb(cmyk_row, row);
        }
        jpeg_finish_decompress(&info_);
    }

    // The file's values are taken as inverted, which is Adobe's habit and Pillow's reading.
    void cmyk_to_rgb(const std::uint8_t* cmyk, std::uint8_t* rgb) const {
        for (std::size_t x = 0; x < width(); ++x)
            for (std::size_t channel = 0; channel < 3; ++channel)
                rgb[3 * x + channel] = without_ink(255 - cmyk[4 * x + channel], cmyk[4 * x + 3]);
    }

    jpeg_decompress_struct info_{};
    jpeg_error_mgr errors_{};
    jpeg_source_mgr source_{};
    jpeg_progress_mgr progress_{};
    std::jmp_buf back_{};
};

} // namespace

picture_size size_of_jpeg(std::span<const std::byte> bytes) {
    jpeg_decoder decoder(bytes);
    decoder.read_header();
    return decoder.size();
}

void decode_jpeg(std::span<const std::byte> bytes, rgb_image& image) {
    jpeg_decoder decoder(bytes);
    decoder.read_header();
    // A block of 64 samples takes at least a bit, and a chroma sample stands for at most 16 pixels; a flat
    // picture in arithmetic coding can do still better, hence the round number.
    constexpr std::size_t pixels_per_byte = 16384;
    take_size(decoder.size(), bytes.size(), pixels_per_byte, image);
    std::vector<std::uint8_t> cmyk_row(decoder.is_cmyk() ? image.width * 4 : 0);
    decoder.read_pixels(image.pixels.data(), cmyk_row.data(), bytes.size() + image.pixels.size());
}

} // namespace petnet::data::detail
