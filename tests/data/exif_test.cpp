// SPDX-License-Identifier: Apache-2.0
#include "data/exif.hpp"

#include "tests/data/test_folder.hpp"
#include "tests/support/bytes.hpp"

#include <algorithm>
#include <array>
#include <zlib.h>

using namespace petnet;
using namespace petnet::data;
using petnet::test::bytes_of;
using petnet::test::bytes_type;
namespace fs = std::filesystem;

namespace {

// A TIFF file of one directory with one entry.
std::string tiff(bool little_endian, unsigned tag, unsigned type, unsigned value) {
    const auto number = [&](std::size_t n, int count) {
        std::string text;
        for (int i = 0; i < count; ++i)
            text += static_cast<char>(n >> (8 * (little_endian ? i : count - 1 - i)));
        return text;
    };
    return (little_endian ? "II" : "MM") + number(42, 2) + number(8, 4) + number(1, 2) + number(tag, 2) +
           number(type, 2) + number(1, 4) + number(value, 2) + number(0, 2) + number(0, 4);
}

std::string segment(char marker, const std::string& content) {
    const std::size_t length = content.size() + 2;
    return std::string("\xff") + marker + static_cast<char>(length >> 8) + static_cast<char>(length & 0xff) +
           content;
}

std::string exif_segment(const std::string& content) {
    return segment('\xe1', std::string("Exif\0\0", 6) + content);
}

unsigned orientation_of(const std::string& segments) {
    return exif_orientation(bytes_of("\xff\xd8" + segments + "\xff\xda"));
}

constexpr unsigned tag = 0x0112, type_short = 3;

} // namespace

TEST(exif, tells_the_orientation_in_either_order_of_bytes) {
    for (unsigned value = 1; value <= 8; ++value)
        for (const bool little_endian : {false, true})
            EXPECT_EQ(orientation_of(exif_segment(tiff(little_endian, tag, type_short, value))), value);
}

TEST(exif, is_looked_for_behind_other_segments) {
    const std::string turned = exif_segment(tiff(true, tag, type_short, 6));
    EXPECT_EQ(orientation_of(segment('\xe0', "JFIF") + segment('\xe1', "http://ns.adobe.com/xap/1.0/") +
                             "\xff\xff" + turned.substr(1)),
              6U);
    EXPECT_EQ(orientation_of(segment('\xda', "scan") + turned), 1U) << "behind the first scan";
}

TEST(exif, that_makes_no_sense_means_upright) {
    for (const unsigned value : {0U, 9U, 65535U})
        EXPECT_EQ(orientation_of(exif_segment(tiff(true, tag, type_short, value))), 1U);
    EXPECT_EQ(orientation_of(exif_segment(tiff(true, 0x0110, type_short, 6))), 1U);
    EXPECT_EQ(orientation_of(exif_segment(tiff(true, tag, 4, 6))), 1U);
    EXPECT_EQ(orientation_of(exif_segment("")), 1U);
    EXPECT_EQ(orientation_of(segment('\xe1', "Exif")), 1U);
    EXPECT_EQ(exif_orientation({}), 1U);
    std::string far = tiff(true, tag, type_short, 6);
    far.replace(4, 4, "\xff\xff\xff\xff");
    EXPECT_EQ(orientation_of(exif_segment(far)), 1U);
    const bytes_type whole = bytes_of("\xff\xd8" + exif_segment(tiff(true, tag, type_short, 6)));
    for (std::size_t length = 0; length < whole.size(); ++length)
        EXPECT_EQ(exif_orientation(std::span(whole).first(length)), 1U) << length;
    EXPECT_EQ(exif_orientation(whole), 6U);
}

// EXIF 2.3, 4.6.4: where row 0 and column 0 of the stored pixels are to be seen. Of the image 1 2 3 / 4 5 6.
TEST(exif, turns_the_pixels_upright) {
    const std::array<std::pair<std::size_t, std::vector<std::uint8_t>>, 8> expected{{
        {3, {1, 2, 3, 4, 5, 6}}, // row 0 at the top, column 0 at the left
        {3, {3, 2, 1, 6, 5, 4}}, // top, right
        {3, {6, 5, 4, 3, 2, 1}}, // bottom, right
        {3, {4, 5, 6, 1, 2, 3}}, // bottom, left
        {2, {1, 4, 2, 5, 3, 6}}, // left, top
        {2, {4, 1, 5, 2, 6, 3}}, // right, top
        {2, {6, 3, 5, 2, 4, 1}}, // right, bottom
        {2, {3, 6, 2, 5, 1, 4}}, // left, bottom
    }};
    for (unsigned way = 1; way <= 8; ++way) {
        rgb_image image{3, 2, {}};
        for (std::uint8_t i = 1; i <= 6; ++i) image.pixels.insert(image.pixels.end(), {i, 0, i});
        turn_upright(image, way);
        const auto& [width, values] = expected.at(way - 1);
        EXPECT_EQ(image.width, width) << way;
        EXPECT_EQ(image.height, 6 / width) << way;
        for (std::size_t i = 0; i < 6; ++i) {
            EXPECT_EQ(image.pixels[3 * i], values[i]) << way << ", pixel " << i;
            EXPECT_EQ(image.pixels[3 * i + 1], 0);
            EXPECT_EQ(image.pixels[3 * i + 2], values[i]);
        }
    }
}

TEST(exif, is_ignored_unless_asked_for) {
    const bytes_type bytes = read_file(fs::path(PETNET_ODD_PHOTOGRAPHS) / "exif_turned.jpg", 1 << 20);
    const unsigned way = exif_orientation(bytes);
    EXPECT_EQ(way, 6U);
    rgb_image stored = decode(bytes, "x");
    const rgb_image turned = decode(bytes, "x", orientation::by_exif);
    EXPECT_EQ(turned.width, stored.height);
    turn_upright(stored, way);
    EXPECT_TRUE(turned.pixels == stored.pixels);
    EXPECT_EQ(decode_bytes(bytes, orientation::by_exif), 2 * decode_bytes(bytes));
}

namespace {

std::string of_32_bits(std::size_t value, bool little_endian) {
    std::string text;
    for (int i = 0; i < 4; ++i) text += static_cast<char>(value >> (8 * (little_endian ? i : 3 - i)));
    return text;
}

std::string photograph(const char* name) {
    const bytes_type bytes = read_file(fs::path(PETNET_ODD_PHOTOGRAPHS) / name, 1 << 20);
    return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

std::string png_with(const std::string& exif, bool behind_the_pixels) {
    std::string png = photograph("rgba.png");
    const std::string chunk = "eXIf" + exif;
    const auto checksum =
        ::crc32(0, reinterpret_cast<const Bytef*>(chunk.data()), static_cast<uInt>(chunk.size()));
    const std::size_t header = 33, end = 12;
    return png.insert(behind_the_pixels ? png.size() - end : header,
                      of_32_bits(exif.size(), false) + chunk + of_32_bits(checksum, false));
}

std::string webp_with(const std::string& exif, bool flag) {
    const std::string body = std::string("WEBPVP8X") + of_32_bits(10, true) + (flag ? '\x8' : '\0') +
                             std::string("\0\0\0\x24\0\0\x1c\0\0", 9) + photograph("lossy.webp").substr(12) +
                             "EXIF" + of_32_bits(exif.size(), true) + exif +
                             std::string(exif.size() % 2, '\0');
    return "RIFF" + of_32_bits(body.size(), true) + body;
}

} // namespace

TEST(exif, is_read_in_png_and_webp) {
    const std::string turned = tiff(true, tag, type_short, 6);
    for (const std::string& file : {png_with(turned, false), png_with(turned, true), webp_with(turned, true),
                                    webp_with(std::string("Exif\0\0", 6) + turned, true)}) {
        const bytes_type bytes = bytes_of(file);
        ASSERT_EQ(exif_orientation(bytes), 6U);
        rgb_image stored = decode(bytes, "x");
        turn_upright(stored, 6);
        EXPECT_TRUE(decode(bytes, "x", orientation::by_exif).pixels == stored.pixels);
        for (std::size_t length = 0; length < bytes.size(); ++length)
            EXPECT_LE(exif_orientation(std::span(bytes).first(length)), 6U); // and reads nothing behind them
    }
    EXPECT_EQ(exif_orientation(bytes_of(webp_with(turned, false))), 1U);
    EXPECT_EQ(exif_orientation(bytes_of(webp_with(tiff(true, tag, type_short, 9), true))), 1U);
}
