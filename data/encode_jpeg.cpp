// SPDX-License-Identifier: Apache-2.0
#include "data/encode_jpeg.hpp"

#include <algorithm>
#include <csetjmp>
#include <cstdio>
#include <cstdlib>
#include <stdexcept>

#include <jpeglib.h>

namespace petnet::data {
namespace {

// As in decode_jpeg.cpp: libjpeg reports errors by a jump, so that everything with a destructor is made
// before.
class jpeg_encoder {
  public:
    explicit jpeg_encoder(const rgb_image& image) : image_(image) {
        info_.err = jpeg_std_error(&errors_);
        info_.client_data = this;
        errors_.error_exit = [](j_common_ptr info) {
            longjmp(static_cast<jpeg_encoder*>(info->client_data)->back_, 1);
        };
        errors_.output_message = [](j_common_ptr) {};
    }
    ~jpeg_encoder() {
        jpeg_destroy_compress(&info_);
        std::free(bytes_);
    }
    jpeg_encoder(const jpeg_encoder&) = delete; // libjpeg keeps pointers into it
    jpeg_encoder& operator=(const jpeg_encoder&) = delete;

    std::vector<std::byte> encode(int quality) {
        if (setjmp(back_) != 0) throw std::logic_error("encode_jpeg: libjpeg refuses the image");
        compress(quality);
        const auto* bytes = reinterpret_cast<const std::byte*>(bytes_);
        return {bytes, bytes + size_};
    }

  private:
    void compress(int quality) {
        jpeg_create_compress(&info_);
        jpeg_mem_dest(&info_, &bytes_, &size_);
        info_.image_width = static_cast<JDIMENSION>(image_.width);
        info_.image_height = static_cast<JDIMENSION>(image_.height);
        info_.input_components = 3;
        info_.in_color_space = JCS_RGB;
        jpeg_set_defaults(&info_);
        jpeg_set_quality(&info_, quality, TRUE);
        info_.optimize_coding = TRUE;
        jpeg_start_compress(&info_, TRUE);
        while (info_.next_scanline < info_.image_height) {
            auto* row = const_cast<JSAMPROW>(image_.pixels.data()) + // libjpeg only reads it
                        std::size_t{info_.next_scanline} * image_.width * 3;
            jpeg_write_scanlines(&info_, &row, 1);
        }
        jpeg_finish_compress(&info_);
    }

    const rgb_image& image_;
    jpeg_compress_struct info_{};
    jpeg_error_mgr errors_{};
    std::jmp_buf back_{};
    unsigned char* bytes_ = nullptr;
    unsigned long size_ = 0;
};

} // namespace

std::vector<std::byte> encode_jpeg(const rgb_image& image, int quality) {
    return jpeg_encoder(image).encode(std::clamp(quality, 1, 100));
}

} // namespace petnet::data
