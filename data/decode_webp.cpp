// SPDX-License-Identifier: Apache-2.0
// WebP by libwebp: a picture, or the first frame of an animation on its canvas, black around it.
#include "data/decode_formats.hpp"

#include <memory>
#include <string>

#include <webp/decode.h>
#include <webp/demux.h>

namespace petnet::data::detail {
namespace {

struct frees_demuxer {
    void operator()(WebPDemuxer* demuxer) const { WebPDemuxDelete(demuxer); }
};

class webp_file {
  public:
    explicit webp_file(std::span<const std::byte> bytes) {
        const WebPData data{reinterpret_cast<const std::uint8_t*>(bytes.data()), bytes.size()};
        WebPDemuxState state = WEBP_DEMUX_PARSE_ERROR;
        demuxer_.reset(WebPDemuxPartial(&data, &state));
        if (state == WEBP_DEMUX_PARSE_ERROR) throw decode_error("a corrupt WebP: its chunks make no sense");
        if (state != WEBP_DEMUX_DONE) throw decode_error("the WebP data ends early (a truncated file)");
        if (WebPDemuxGetFrame(demuxer_.get(), 1, &frame_) == 0)
            throw decode_error("a WebP without a picture");
        check(WebPGetFeatures(frame_.fragment.bytes, frame_.fragment.size, &features_));
    }

    [[nodiscard]] picture_size size() const {
        const std::size_t width = WebPDemuxGetI(demuxer_.get(), WEBP_FF_CANVAS_WIDTH);
        const std::size_t height = WebPDemuxGetI(demuxer_.get(), WEBP_FF_CANVAS_HEIGHT);
        // Without loss it is unpacked into four bytes a pixel and some; with loss, row by row and the
        // transparency as a whole, from twice as much.
        constexpr std::size_t lossless = 2, bytes_per_pixel = 5, working_bytes = 1 << 20;
        const auto pixels =
            static_cast<std::size_t>(features_.width) * static_cast<std::size_t>(features_.height);
        const bool whole = features_.format == lossless || features_.has_alpha != 0;
        return {width, height, working_bytes + (whole ? pixels * bytes_per_pixel : 0)};
    }

    // `image` has the size of the canvas.
    void read_pixels(rgb_image& image) {
        const auto left = static_cast<std::size_t>(frame_.x_offset),
                   top = static_cast<std::size_t>(frame_.y_offset);
        const auto width = static_cast<std::size_t>(features_.width),
                   height = static_cast<std::size_t>(features_.height);
        if (left + width > image.width || top + height > image.height)
            throw decode_error("a WebP whose picture is larger than its canvas");
        std::fill(image.pixels.begin(), image.pixels.end(), std::uint8_t{0});
        const std::size_t start = 3 * (top * image.width + left), stride = 3 * image.width;
        WebPDecoderConfig config{};
        if (WebPInitDecoderConfig(&config) == 0) throw std::logic_error("libwebp of another version");
        config.output.colorspace = MODE_RGB;
        config.output.is_external_memory = 1;
        config.output.u.RGBA = {image.pixels.data() + start, static_cast<int>(stride),
                                image.pixels.size() - start};
        const VP8StatusCode status = WebPDecode(frame_.fragment.bytes, frame_.fragment.size, &config);
        WebPFreeDecBuffer(&config.output);
        check(status);
    }

  private:
    static void check(VP8StatusCode status) {
        switch (status) {
        case VP8_STATUS_OK:
            return;
        case VP8_STATUS_OUT_OF_MEMORY:
            throw std::bad_alloc();
        case VP8_STATUS_NOT_ENOUGH_DATA:
        case VP8_STATUS_SUSPENDED:
            throw decode_error("a corrupt WebP: its compressed data ends early");
        default:
            throw decode_error("a corrupt WebP: its compressed data is damaged");
        }
    }

    std::unique_ptr<WebPDemuxer, frees_demuxer> demuxer_;
    WebPIterator frame_{}; // its bytes are the file's
    WebPBitstreamFeatures features_{};
};

} // namespace

picture_size size_of_webp(std::span<const std::byte> bytes) { return webp_file(bytes).size(); }

void decode_webp(std::span<const std::byte> bytes, rgb_image& image) {
    webp_file file(bytes);
    constexpr std::size_t pixels_per_byte = 1 << 20; // a picture of one colour takes a few dozen bytes
    take_size(file.size(), bytes.size(), pixels_per_byte, image);
    file.read_pixels(image);
}

} // namespace petnet::data::detail
