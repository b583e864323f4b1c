// SPDX-License-Identifier: Apache-2.0
// The first picture of a TIFF by libtiff, which unpacks its strips or tiles; their samples become pixels
// here, as Pillow's do (tiff_pixels.hpp).
#include "data/decode_formats.hpp"
#include "data/exif.hpp"
#include "data/tiff_pixels.hpp"

#include <array>
#include <cstdarg>
#include <cstdio>
#include <cstring>
#include <memory>
#include <string>

#include <tiffio.h>

namespace petnet::data::detail {
namespace {

struct closes_tiff {
    void operator()(TIFF* tiff) const { TIFFClose(tiff); }
};

class tiff_file {
  public:
    explicit tiff_file(std::span<const std::byte> bytes) : bytes_(bytes) {
        const std::unique_ptr<TIFFOpenOptions, decltype(&TIFFOpenOptionsFree)> options(TIFFOpenOptionsAlloc(),
                                                                                       TIFFOpenOptionsFree);
        if (options == nullptr) throw std::bad_alloc();
        TIFFOpenOptionsSetMaxSingleMemAlloc(options.get(), max_decode_bytes);
        TIFFOpenOptionsSetErrorHandlerExtR(options.get(), on_error, this);
        TIFFOpenOptionsSetWarningHandlerExtR(options.get(), on_warning, this);
        tiff_.reset(TIFFClientOpenExt("", "r", this, read, write, seek, close, size_of_file, map, unmap,
                                      options.get()));
        if (tiff_ == nullptr) refuse();
        read_header();
    }
    tiff_file(const tiff_file&) = delete; // libtiff keeps its address
    tiff_file& operator=(const tiff_file&) = delete;

    [[nodiscard]] picture_size size() const {
        // What libtiff keeps of a block: a progressive JPEG, or the data with their bits in the other order.
        const std::size_t in_libtiff = compression_ == COMPRESSION_JPEG                                  ? 3
                                       : field<std::uint16_t>(TIFFTAG_FILLORDER, 1) == FILLORDER_LSB2MSB ? 1
                                                                                                         : 0;
        std::size_t beside = block_bytes() * (planes() + in_libtiff) + (1 << 20);
        if (compression_ == COMPRESSION_ZSTD) beside += 1 << 27; // the most that its window may be
        if (by_libtiff_) beside += raster_bytes();
        const std::size_t turned =
            orientation_ == 1 ? 0
                              : std::size_t{width_} * std::min<std::size_t>(height_, max_decode_bytes) * 3;
        return {width_, height_, std::max(beside, turned)};
    }

    // `image` has the size that size() says.
    void read_pixels(rgb_image& image) {
        if (by_libtiff_)
            read_by_libtiff(image);
        else
            read_blocks(image);
        turn_upright(image, orientation_); // always, as Pillow does
    }

  private:
    [[noreturn]] void refuse() const {
        const std::size_t end = reason_.find_last_not_of(": "); // of which some end with a list of nothing
        throw decode_error("a corrupt TIFF" +
                           (reason_.empty() ? std::string() : ": " + reason_.substr(0, end + 1)));
    }

    static int on_error(TIFF*, void* self, const char*, const char* format, va_list words) {
        std::array<char, 200> text{};
        std::vsnprintf(text.data(), text.size(), format, words);
        std::string& reason = static_cast<tiff_file*>(self)->reason_;
        if (!reason.empty()) return 1;                          // the first says it best
        for (const char letter : std::string_view(text.data())) // no line feed of the file's
            reason += static_cast<unsigned char>(letter) < ' ' || static_cast<unsigned char>(letter) > '~'
                          ? '?'
                          : letter;
        return 1;
    }
    static int on_warning(TIFF*, void*, const char*, const char*, va_list) { return 1; }

    static tmsize_t read(thandle_t self, void* to, tmsize_t wanted) {
        auto& file = *static_cast<tiff_file*>(self);
        const std::size_t left = file.bytes_.size() - std::min(file.place_, file.bytes_.size());
        const std::size_t count = std::min(static_cast<std::size_t>(wanted), left);
        if (count != 0) std::memcpy(to, file.bytes_.data() + file.place_, count);
        file.place_ += count;
        return static_cast<tmsize_t>(count);
    }
    static tmsize_t write(thandle_t, void*, tmsize_t) { return 0; }
    static toff_t seek(thandle_t self, toff_t offset, int from) {
        auto& file = *static_cast<tiff_file*>(self);
        const toff_t start = from == SEEK_CUR ? file.place_ : from == SEEK_END ? file.bytes_.size() : 0;
        file.place_ = start + offset;
        return file.place_;
    }
    static int close(thandle_t) { return 0; }
    static toff_t size_of_file(thandle_t self) { return static_cast<tiff_file*>(self)->bytes_.size(); }
    static int map(thandle_t self, void** base, toff_t* size) {
        const std::span<const std::byte> bytes = static_cast<tiff_file*>(self)->bytes_;
        *base = const_cast<std::byte*>(bytes.data()); // which is read only
        *size = bytes.size();
        return 1;
    }
    static void unmap(thandle_t, void*, toff_t) {}

    template <class number> number field(std::uint32_t tag, number otherwise) const {
        number value = otherwise;
        return TIFFGetFieldDefaulted(tiff_.get(), tag, &value) == 1 ? value : otherwise;
    }

    void read_header() {
        width_ = field<std::uint32_t>(TIFFTAG_IMAGEWIDTH, 0);
        height_ = field<std::uint32_t>(TIFFTAG_IMAGELENGTH, 0);
        compression_ = field<std::uint16_t>(TIFFTAG_COMPRESSION, COMPRESSION_NONE);
        constexpr std::array<std::uint16_t, 10> known{
            COMPRESSION_NONE, COMPRESSION_CCITTRLE, COMPRESSION_CCITTFAX3, COMPRESSION_CCITTFAX4,
            COMPRESSION_LZW,  COMPRESSION_PACKBITS, COMPRESSION_DEFLATE,   COMPRESSION_ADOBE_DEFLATE,
            COMPRESSION_JPEG, COMPRESSION_ZSTD};
        if (std::find(known.begin(), known.end(), compression_) == known.end())
            throw decode_error("a TIFF of an unknown compression (" + std::to_string(compression_) + ")");
        orientation_ = field<std::uint16_t>(TIFFTAG_ORIENTATION, 1);
        if (orientation_ < 1 || orientation_ > 8) orientation_ = 1;
        planar_ = field<std::uint16_t>(TIFFTAG_PLANARCONFIG, PLANARCONFIG_CONTIG) == PLANARCONFIG_SEPARATE;
        tiled_ = TIFFIsTiled(tiff_.get()) != 0;
        layout_.photometric = field<std::uint16_t>(TIFFTAG_PHOTOMETRIC, PHOTOMETRIC_MINISWHITE);
        layout_.bits = field<std::uint16_t>(TIFFTAG_BITSPERSAMPLE, 1);
        layout_.samples = field<std::uint16_t>(TIFFTAG_SAMPLESPERPIXEL, 1);
        layout_.sample_format = field<std::uint16_t>(TIFFTAG_SAMPLEFORMAT, SAMPLEFORMAT_UINT);
        std::uint16_t extras = 0;
        std::uint16_t* kinds = nullptr;
        if (TIFFGetFieldDefaulted(tiff_.get(), TIFFTAG_EXTRASAMPLES, &extras, &kinds) == 1 && extras != 0) {
            layout_.extras = extras;
            layout_.extra_kind = kinds[0];
        }
        // libtiff asks libdeflate otherwise and takes damaged data that unpack to too much.
        if (compression_ == COMPRESSION_DEFLATE || compression_ == COMPRESSION_ADOBE_DEFLATE)
            TIFFSetField(tiff_.get(), TIFFTAG_DEFLATE_SUBCODEC, DEFLATE_SUBCODEC_ZLIB);
        if (layout_.photometric == PHOTOMETRIC_PALETTE)
            read_palette();
        else if (short_in_tiff(bytes_, TIFFTAG_PHOTOMETRIC) == PHOTOMETRIC_PALETTE)
            throw decode_error("a TIFF whose palette is missing"); // which libtiff would show as gray
        if (layout_.photometric == PHOTOMETRIC_YCBCR) {
            if (compression_ == COMPRESSION_JPEG && !planar_) {
                TIFFSetField(tiff_.get(), TIFFTAG_JPEGCOLORMODE, JPEGCOLORMODE_RGB);
                layout_.photometric = PHOTOMETRIC_RGB;
            } else {
                by_libtiff_ = true;
                return;
            }
        }
        require_known(layout_);
    }

    void read_palette() {
        std::array<std::uint16_t*, 3> channels{};
        if (layout_.bits > 8 ||
            TIFFGetField(tiff_.get(), TIFFTAG_COLORMAP, &channels[0], &channels[1], &channels[2]) != 1)
            throw decode_error("a TIFF whose palette is missing");
        for (std::size_t i = 0; i < std::size_t{1} << layout_.bits; ++i)
            for (std::size_t channel = 0; channel < 3; ++channel)
                layout_.colours[i][channel] = static_cast<std::uint8_t>(channels[channel][i] >> 8);
    }

    [[nodiscard]] std::size_t planes() const { return planar_ ? layout_.samples : 1; }
    // Of a strip or tile; no more than would be too much.
    [[nodiscard]] std::size_t block_bytes() const {
        const std::uint64_t bytes = tiled_ ? TIFFTileSize64(tiff_.get()) : TIFFStripSize64(tiff_.get());
        return std::min<std::size_t>(bytes, max_decode_bytes);
    }
    // Of as many rows as libtiff turns into pixels at once.
    [[nodiscard]] std::size_t raster_bytes() const {
        const std::size_t rows = rows_at_once();
        return width_ != 0 && rows > max_decode_bytes / 4 / width_ ? max_decode_bytes : rows * width_ * 4;
    }
    [[nodiscard]] std::size_t row_bytes() const { // of a block
        return static_cast<std::size_t>(tiled_ ? TIFFTileRowSize64(tiff_.get())
                                               : TIFFScanlineSize64(tiff_.get()));
    }

    void read_blocks(rgb_image& image) {
        const auto block_width = tiled_ ? field<std::uint32_t>(TIFFTAG_TILEWIDTH, 0) : width_;
        const auto block_height = std::min(
            height_, field<std::uint32_t>(tiled_ ? TIFFTAG_TILELENGTH : TIFFTAG_ROWSPERSTRIP, height_));
        const std::size_t bytes = block_bytes(), stride = row_bytes();
        if (block_width == 0 || block_height == 0 || bytes / block_height < stride || stride == 0 ||
            stride < row_bytes_of(layout_, block_width, planar_))
            refuse();
        std::vector<std::vector<std::uint8_t>> planes_of_block(planes());
        for (std::vector<std::uint8_t>& plane : planes_of_block) plane.resize(bytes);
        std::vector<const std::uint8_t*> rows(planes());
        for (std::uint32_t y = 0; y < height_; y += block_height)
            for (std::uint32_t x = 0; x < width_; x += block_width) {
                for (std::size_t plane = 0; plane < planes(); ++plane)
                    read_block(x, y, static_cast<std::uint16_t>(plane), planes_of_block[plane]);
                const std::size_t count = std::min(block_width, width_ - x);
                for (std::uint32_t row = 0; row < std::min(block_height, height_ - y); ++row) {
                    for (std::size_t plane = 0; plane < planes(); ++plane)
                        rows[plane] = planes_of_block[plane].data() + row * stride;
                    to_pixels(layout_, rows, count, image.pixels.data() + 3 * ((y + row) * image.width + x));
                }
                if (width_ - x <= block_width) break; // the next would not fit into 32 bits
            }
    }

    void read_block(std::uint32_t x, std::uint32_t y, std::uint16_t plane, std::vector<std::uint8_t>& to) {
        const auto bytes = static_cast<tmsize_t>(to.size());
        const tmsize_t got =
            tiled_ ? TIFFReadEncodedTile(tiff_.get(), TIFFComputeTile(tiff_.get(), x, y, 0, plane), to.data(),
                                         bytes)
                   : TIFFReadEncodedStrip(tiff_.get(), TIFFComputeStrip(tiff_.get(), y, plane), to.data(),
                                          bytes);
        if (got < 0) refuse();
    }

    // Pictures in YCbCr, whose chroma may be of fewer pixels.
    [[nodiscard]] std::size_t rows_at_once() const {
        return std::min(height_,
                        field<std::uint32_t>(tiled_ ? TIFFTAG_TILELENGTH : TIFFTAG_ROWSPERSTRIP, height_));
    }

    void read_by_libtiff(rgb_image& image) {
        std::array<char, 1024> problem{};
        TIFFRGBAImage picture{};
        if (TIFFRGBAImageOK(tiff_.get(), problem.data()) != 1 ||
            TIFFRGBAImageBegin(&picture, tiff_.get(), 1, problem.data()) != 1) {
            if (reason_.empty()) reason_ = problem.data();
            refuse();
        }
        const std::unique_ptr<TIFFRGBAImage, decltype(&TIFFRGBAImageEnd)> ends(&picture, TIFFRGBAImageEnd);
        picture.req_orientation = picture.orientation = ORIENTATION_TOPLEFT;
        const std::size_t step = std::max<std::size_t>(rows_at_once(), 1);
        std::vector<std::uint32_t> raster(step * width_);
        for (std::size_t y = 0; y < height_; y += step) {
            const std::size_t rows = std::min<std::size_t>(step, height_ - y);
            picture.row_offset = static_cast<int>(y);
            if (TIFFRGBAImageGet(&picture, raster.data(), width_, static_cast<std::uint32_t>(rows)) != 1)
                refuse();
            std::uint8_t* out = image.pixels.data() + 3 * y * image.width;
            for (std::size_t i = 0; i < rows * width_; ++i) {
                *out++ = TIFFGetR(raster[i]);
                *out++ = TIFFGetG(raster[i]);
                *out++ = TIFFGetB(raster[i]);
            }
        }
    }

    std::span<const std::byte> bytes_;
    std::size_t place_ = 0;
    std::string reason_;
    std::unique_ptr<TIFF, closes_tiff> tiff_;
    std::uint32_t width_ = 0, height_ = 0;
    std::uint16_t compression_ = 0, orientation_ = 1;
    bool planar_ = false, tiled_ = false, by_libtiff_ = false;
    tiff_layout layout_;
};

} // namespace

picture_size size_of_tiff(std::span<const std::byte> bytes) { return tiff_file(bytes).size(); }

void decode_tiff(std::span<const std::byte> bytes, rgb_image& image) {
    tiff_file file(bytes);
    constexpr std::size_t pixels_per_byte = 1 << 18; // zstd packs 128 KB into four bytes
    take_size(file.size(), bytes.size(), pixels_per_byte, image);
    file.read_pixels(image);
}

} // namespace petnet::data::detail
