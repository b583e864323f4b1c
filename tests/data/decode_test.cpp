// SPDX-License-Identifier: Apache-2.0
#include "data/decode.hpp"

#include "tests/data/test_folder.hpp"
#include "tests/support/address_sanitizer.hpp"
#include "tests/support/bytes.hpp"

#include <algorithm>
#include <fstream>
#include <sys/resource.h>
#include <zlib.h>

using namespace petnet;
using namespace petnet::data;
using petnet::test::bytes_of;
using petnet::test::bytes_type;
using petnet::test::message_of;
using ::testing::AllOf;
using ::testing::HasSubstr;
namespace fs = std::filesystem;

namespace {

bytes_type odd(const std::string& name) {
    return read_file(fs::path(PETNET_ODD_PHOTOGRAPHS) / name, 1 << 20);
}

std::string refusal(const bytes_type& bytes) {
    return message_of<decode_error>([&] { (void)decode(bytes, "photo.jpg"); });
}

// A binary PPM (P6) as Pillow writes it: three header lines, then the pixels.
rgb_image read_ppm(const fs::path& path) {
    std::ifstream file(path, std::ios::binary);
    std::string magic;
    int most = 0;
    rgb_image image;
    file >> magic >> image.width >> image.height >> most;
    file.get();
    image.pixels.resize(image.width * image.height * 3);
    file.read(reinterpret_cast<char*>(image.pixels.data()),
              static_cast<std::streamsize>(image.pixels.size()));
    EXPECT_TRUE(file && magic == "P6" && most == 255) << path;
    return image;
}

class odd_photographs : public ::testing::TestWithParam<const char*> {};

void put_big_endian(bytes_type& bytes, std::size_t at, std::uint32_t value, int count) {
    for (int i = 0; i < count; ++i)
        bytes.at(at + static_cast<std::size_t>(i)) = static_cast<std::byte>(value >> (8 * (count - 1 - i)));
}

std::size_t find(const bytes_type& bytes, std::initializer_list<int> marker) {
    const auto place = std::search(bytes.begin(), bytes.end(), marker.begin(), marker.end(),
                                   [](std::byte a, int b) { return std::to_integer<int>(a) == b; });
    EXPECT_NE(place, bytes.end());
    return static_cast<std::size_t>(place - bytes.begin());
}

} // namespace

TEST_P(odd_photographs, golden_give_the_pixels_that_pillow_gives) {
    const rgb_image expected =
        read_ppm(fs::path(PETNET_ODD_PHOTOGRAPHS) / (std::string(GetParam()) + ".ppm"));
    const rgb_image image = decode(odd(GetParam()), GetParam());
    ASSERT_EQ(image.width, expected.width);
    ASSERT_EQ(image.height, expected.height);
    EXPECT_TRUE(image.pixels == expected.pixels);
}

INSTANTIATE_TEST_SUITE_P(all, odd_photographs,
                         ::testing::Values("cmyk.jpg", "ycck.jpg", "gray.jpg", "progressive.jpg",
                                           "subsampled_444.jpg", "subsampled_422.jpg", "subsampled_420.jpg",
                                           "exif_turned.jpg", "png_named.jpg", "gif_named.jpg",
                                           "transparent.gif", "gray.gif", "two_frames.gif", "rgba.png",
                                           "gray_alpha.png", "palette.png", "palette_transparent.png",
                                           "one_bit.png", "rgb16.png", "rgba16.png", "gray16.png",
                                           "gray16_dark.png", "gray_alpha16.png", "rgb24.bmp", "palette.bmp",
                                           "gray.bmp", "lossy.webp", "lzw.tif", "group4.tif", "jpeg.tif",
                                           "zstd.tif"),
                         [](const auto& photograph) {
                             std::string name = photograph.param;
                             std::replace(name.begin(), name.end(), '.', '_');
                             return name;
                         });

TEST(decode, says_what_is_wrong_with_what_is_no_image) {
    EXPECT_EQ(refusal({}), "photo.jpg: the file is empty");
    EXPECT_EQ(refusal(bytes_of("MATLAB 5.0 MAT-file")),
              "photo.jpg: not a JPEG, PNG, GIF, BMP, WebP or TIFF image");
    EXPECT_THAT(refusal(bytes_of("\xff\xd8\xff")), HasSubstr("ends early"));
    EXPECT_THAT(refusal(bytes_of("\x89PNG\r\n\x1a\n")), HasSubstr("PNG"));
    EXPECT_THAT(refusal(bytes_of("GIF89a")), HasSubstr("GIF"));
}

TEST(decode, refuses_a_file_cut_short_anywhere_as_pillow_does) {
    for (const char* name :
         {"subsampled_420.jpg", "progressive.jpg", "cmyk.jpg", "rgb24.bmp", "palette.bmp"}) {
        const bytes_type whole = odd(name);
        for (std::size_t length = 0; length < whole.size(); ++length) {
            if (std::string_view(name).ends_with(".bmp") && length + 4 > whole.size()) continue; // padding
            const bytes_type cut(whole.begin(), whole.begin() + static_cast<std::ptrdiff_t>(length));
            EXPECT_THROW((void)decode(cut, name), decode_error) << name << " cut to " << length;
        }
    }
    // What is not compressed pixels may be missing: the checksums of them and of their chunk, and the chunk
    // of the end.
    const bytes_type png = odd("rgba.png");
    for (std::size_t length = 0; length < png.size(); ++length) {
        const auto cut = std::span(png).first(length);
        if (length < png.size() - 21) {
            EXPECT_THROW((void)decode(cut, "rgba.png"), decode_error) << length;
        } else if (length >= png.size() - 20) {
            EXPECT_TRUE(decode(cut, "rgba.png").pixels == decode(png, "rgba.png").pixels) << length;
        }
    }
    // A segment that is passed over, of more bytes than there are.
    EXPECT_THAT(refusal(bytes_of("\xff\xd8\xff\xe5\xff\xff and a few more bytes")), HasSubstr("ends early"));
}

// Found by review: of 16 bytes, the last three announce an extension of which nothing is there. Its fourth
// byte was written to all the same; the address sanitizer sees that.
TEST(decode, refuses_a_gif_cut_within_an_extension) {
    EXPECT_THAT(refusal(odd("cut_in_extension.gif")), HasSubstr("GIF"));
    const bytes_type whole = odd("transparent.gif");
    for (std::size_t length = 0; length < find(whole, {0x21, 0xf9, 4}) + 8; ++length)
        EXPECT_THROW((void)decode(std::span(whole).first(length), "transparent.gif"), decode_error) << length;
}

// Pillow shows what libjpeg makes of damaged data that does not end early, and so does petnet.
TEST(decode, tolerates_damage_inside_the_compressed_data) {
    bytes_type bytes = odd("subsampled_420.jpg");
    const std::size_t scan = find(bytes, {0xff, 0xda});
    for (std::size_t i = scan + 40; i < scan + 50; ++i) bytes.at(i) = std::byte{0x55};
    EXPECT_EQ(decode(bytes, "damaged.jpg").width, 37U);
    bytes_type early_end = odd("subsampled_420.jpg");
    early_end.resize(scan + 40);
    early_end.push_back(std::byte{0xff});
    early_end.push_back(std::byte{0xd9});
    EXPECT_EQ(decode(early_end, "early_end.jpg").width, 37U);
}

TEST(decode, believes_no_header_that_the_bytes_cannot_fill) {
    bytes_type jpeg = odd("gray.jpg");
    const std::size_t frame = find(jpeg, {0xff, 0xc0});
    put_big_endian(jpeg, frame + 5, 30000, 2);
    put_big_endian(jpeg, frame + 7, 30000, 2);
    EXPECT_THAT(refusal(jpeg), AllOf(HasSubstr("30000 x 30000"), HasSubstr("450 MB of memory")));
    put_big_endian(jpeg, frame + 5, 9000, 2);
    put_big_endian(jpeg, frame + 7, 9000, 2);
    EXPECT_THAT(refusal(jpeg), AllOf(HasSubstr("9000 x 9000"), HasSubstr("cannot hold")));
    put_big_endian(jpeg, frame + 5, 0, 2);
    EXPECT_THROW((void)decode(jpeg, "x"), decode_error);

    bytes_type png = odd("rgb16.png");
    put_big_endian(png, 16, 30000, 4);
    put_big_endian(png, 20, 30000, 4);
    EXPECT_THAT(refusal(png), HasSubstr("30000 x 30000"));
    put_big_endian(png, 16, 9000, 4);
    put_big_endian(png, 20, 9000, 4);
    EXPECT_THAT(refusal(png), HasSubstr("cannot hold"));
    put_big_endian(png, 16, 0xffffffff, 4);
    EXPECT_THAT(refusal(png), HasSubstr("4294967295 x 9000"));

    bytes_type gif = odd("gray.gif");
    gif.at(6) = gif.at(8) = std::byte{0x30};
    gif.at(7) = gif.at(9) = std::byte{0x75};
    EXPECT_THAT(refusal(gif), HasSubstr("30000 x 30000"));

    bytes_type bmp = odd("rgb24.bmp");
    bmp.at(19) = bmp.at(23) = std::byte{0x20};
    EXPECT_THAT(refusal(bmp), HasSubstr("cannot hold"));
}

// Every scan of a progressive JPEG costs a pass over the picture: ten bytes each would buy minutes of work.
TEST(decode, refuses_a_jpeg_of_endless_scans) {
    const bytes_type bytes = odd("progressive.jpg");
    const std::size_t first = find(bytes, {0xff, 0xda});
    // The last scan's marker up to the end-of-image marker, again and again.
    std::size_t last = first;
    for (std::size_t i = first; i + 1 < bytes.size(); ++i)
        if (bytes[i] == std::byte{0xff} && bytes[i + 1] == std::byte{0xda}) last = i;
    bytes_type endless(bytes.begin(), bytes.end() - 2);
    for (int i = 0; i < 1000; ++i)
        endless.insert(endless.end(), bytes.begin() + static_cast<std::ptrdiff_t>(last), bytes.end() - 2);
    endless.insert(endless.end(), bytes.end() - 2, bytes.end());
    EXPECT_THAT(refusal(endless), HasSubstr("too many scans"));
}

namespace {

// A PNG of one pixel whose compressed data unpack to `size` zeros.
bytes_type png_bomb(std::size_t size) {
    bytes_type bytes = odd("rgb16.png");
    put_big_endian(bytes, 16, 1, 4);
    put_big_endian(bytes, 20, 1, 4);
    const std::size_t header_bytes = 13; // with a name of four before and a checksum behind
    const auto checksum = ::crc32(0, reinterpret_cast<const Bytef*>(&bytes[12]), 4 + header_bytes);
    put_big_endian(bytes, 16 + header_bytes, static_cast<std::uint32_t>(checksum), 4);
    const std::size_t data_at = find(bytes, {'I', 'D', 'A', 'T'}) + 4;
    const bytes_type end(bytes.end() - 12, bytes.end());
    bytes.resize(data_at);

    unsigned pending = 0;
    int pending_bits = 0;
    const auto put_bits = [&](std::initializer_list<int> bits) {
        for (int bit : bits) {
            pending |= static_cast<unsigned>(bit) << pending_bits;
            if (++pending_bits < 8) continue;
            bytes.push_back(static_cast<std::byte>(pending));
            pending = 0;
            pending_bits = 0;
        }
    };
    put_bits({0, 0, 0, 1, 1, 1, 1, 0, 1, 0, 0, 0, 0, 0, 0, 0}); // zlib's header, 78 01
    put_bits({1, 1, 0});                                        // the last block, fixed Huffman codes
    put_bits({0, 0, 1, 1, 0, 0, 0, 0});                         // the literal 0
    for (std::size_t done = 1; done < size; done += 258) {
        put_bits({1, 1, 0, 0, 0, 1, 0, 1}); // length 258
        put_bits({0, 0, 0, 0, 0});          // from 1 before
    }
    put_bits({0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0}); // the end of the block and what is pending
    put_big_endian(bytes, data_at - 8, static_cast<std::uint32_t>(bytes.size() - data_at), 4);
    for (int i = 0; i < 4; ++i) bytes.push_back(std::byte{0});
    bytes.insert(bytes.end(), end.begin(), end.end());
    return bytes;
}

} // namespace

// As Pillow does: what lies behind the last row is not looked at.
TEST(decode, unpacks_no_more_of_a_png_than_it_shows) {
    EXPECT_EQ(decode(png_bomb(100'000), "small.png").width, 1U);
    EXPECT_EQ(decode(png_bomb(1'000'000'000), "bomb.png").width, 1U);
    struct rusage use {};
    ::getrusage(RUSAGE_SELF, &use);
    EXPECT_LT(use.ru_maxrss,
              petnet::testing::address_sanitizer ? 1'500 * 1024
                                                 : 600 * 1024); // KB; its quarantine holds 256 MB
}
