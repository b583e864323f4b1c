// SPDX-License-Identifier: Apache-2.0
#include "data/resize.hpp"

#include "base/random.hpp"
#include "model/weights/weight_file.hpp"
#include "tests/data/test_folder.hpp"

#include <algorithm>
#include <cstdlib>
#include <fstream>
#include <nlohmann/json.hpp>
#include <optional>

using namespace petnet;
using namespace petnet::data;
namespace fs = std::filesystem;

namespace {

fs::path golden_folder() {
    const char* named = std::getenv("PETNET_GOLDEN_DIR");
    return named != nullptr ? named : PETNET_DEFAULT_GOLDEN_DIR;
}

// The photographs of pixels.json, which are not part of a golden folder as it is written.
std::optional<fs::path> golden_photograph(const std::string& name) {
    const fs::path beside = golden_folder() / "photographs" / name;
    if (fs::exists(beside)) return beside;
    const char* images = std::getenv("PETNET_GOLDEN_IMAGES");
    if (images != nullptr && fs::exists(fs::path(images) / name)) return fs::path(images) / name;
    return {};
}

std::vector<simd> levels() {
    std::vector<simd> all;
    for (const simd level : {simd::portable, simd::avx2, simd::avx512})
        if (level <= best_simd()) all.push_back(level);
    return all;
}

std::vector<std::uint8_t> resized(rgb_image& image, std::size_t size, double fraction, simd level) {
    std::vector<std::uint8_t> square(size * size * 3);
    cut_square(resize_covered_axis(image, size, level), fraction, square, level);
    return square;
}

struct difference {
    double mean = 0;
    int largest = 0;
};

difference between(std::span<const std::uint8_t> a, std::span<const std::byte> b) {
    difference result;
    for (std::size_t i = 0; i < a.size(); ++i) {
        const int apart = std::abs(int{a[i]} - std::to_integer<int>(b[i]));
        result.mean += static_cast<double>(apart) / static_cast<double>(a.size());
        result.largest = std::max(result.largest, apart);
    }
    return result;
}

rgb_image noise(std::size_t width, std::size_t height) {
    rgb_image image{width, height, std::vector<std::uint8_t>(width * height * 3)};
    const random_key key = random_key(width).child(height);
    for (std::size_t i = 0; i < image.pixels.size(); ++i)
        image.pixels[i] = static_cast<std::uint8_t>(key.bits(i));
    return image;
}

} // namespace

// Seen with libjpeg-turbo 2.1.5 against Pillow 13.0.0 with libjpeg-turbo 3.2.0: portrait photographs equal
// bit for bit; landscape ones, whose passes are swapped, at most 1 apart with a mean of 0.20 to 0.23.
TEST(resize, golden_squares_are_pillows) {
    std::ifstream file(golden_folder() / "pixels.json");
    ASSERT_TRUE(file) << golden_folder();
    const auto photographs = nlohmann::json::parse(file);
    const model::weight_file squares =
        model::read_weight_file(golden_folder() / "resize224_hwc_u8.safetensors");
    for (const auto& photograph : photographs) {
        const std::string name = photograph.at("file");
        const auto path = golden_photograph(name);
        if (!path)
            GTEST_SKIP() << "the photograph " << name << " is neither in " << golden_folder() / "photographs"
                         << " nor in $PETNET_GOLDEN_IMAGES";
        rgb_image image = decode(read_file(*path, 1 << 26), name);
        EXPECT_EQ(image.width, photograph.at("size_wh").at(0).get<std::size_t>());
        EXPECT_EQ(image.height, photograph.at("size_wh").at(1).get<std::size_t>());
        const bool portrait = image.height >= image.width;
        const double train_fraction = photograph.at("train_pcts_xy").at(portrait ? 1 : 0);
        const std::string stem = fs::path(name).stem().string();
        for (const auto& [key, fraction] :
             {std::pair{stem + ".valid", 0.5}, {stem + ".train", train_fraction}}) {
            const model::weight_tensor* expected = squares.find(key);
            ASSERT_NE(expected, nullptr) << key;
            ASSERT_EQ(expected->shape, (std::vector<std::int64_t>{224, 224, 3}));
            const difference apart = between(resized(image, 224, fraction, best_simd()), expected->bytes);
            EXPECT_LE(apart.largest, portrait ? 0 : 1) << key;
            EXPECT_LT(apart.mean, portrait ? 1e-9 : 0.3) << key;
            RecordProperty(key, std::to_string(apart.mean));
        }
    }
}

TEST(resize, every_variant_gives_the_same_bits) {
    if (levels().size() == 1) GTEST_SKIP() << "this processor has only the portable variant";
    const std::pair<std::size_t, std::size_t> sizes[] = {
        {1, 1},     {1, 9},     {9, 1},     {2, 3},    {5, 4},     {37, 29},   {224, 224},
        {225, 224}, {224, 300}, {17, 4000}, {3000, 7}, {500, 375}, {333, 500}, {640, 640}};
    for (const auto& [width, height] : sizes)
        for (const std::size_t size : {1UL, 2UL, 7UL, 32UL, 224UL}) {
            rgb_image image = noise(width, height);
            for (const double fraction : {0.0, 0.37, 1.0}) {
                const auto expected = resized(image, size, fraction, simd::portable);
                for (const simd level : levels())
                    EXPECT_TRUE(resized(image, size, fraction, level) == expected)
                        << width << " x " << height << " to " << size << " at " << fraction << ", variant "
                        << static_cast<int>(level);
            }
        }
}

TEST(resize, sums_of_many_taps_do_not_overflow) {
    rgb_image white{4400, 4300, std::vector<std::uint8_t>(4400UL * 4300 * 3, 255)};
    for (const simd level : levels())
        for (const std::size_t size : {1UL, 2UL, 3UL}) {
            const auto square = resized(white, size, 0.5, level);
            EXPECT_TRUE(std::all_of(square.begin(), square.end(), [](int value) { return value == 255; }))
                << size;
        }
}

TEST(resize, keeps_an_image_that_has_the_size_already) {
    rgb_image image = noise(32, 32);
    EXPECT_TRUE(resized(image, 32, 0.7, best_simd()) == image.pixels);
}

TEST(resize, leaves_the_decoded_image_as_it_was) {
    rgb_image image = noise(40, 30);
    const std::vector<std::uint8_t> before = image.pixels;
    (void)resize_covered_axis(image, 16);
    EXPECT_TRUE(image.pixels == before);
}

TEST(resize, the_cut_is_fastais) {
    EXPECT_EQ(fastai_cut(335, 500, 224, .13, .77), (square_cut{335, 0, 127}));
    EXPECT_EQ(fastai_cut(500, 375, 224, .5, .5), (square_cut{375, 62, 0}));
    EXPECT_EQ(fastai_cut(500, 375, 224, 1., 1.), (square_cut{375, 125, 0}));
    // 1 / 49 * 49 is less than 1 in double precision, as is 103 / 49 * 49 than 103.
    EXPECT_EQ(fastai_cut(1, 9, 49, .5, .5).side, 1U);
    for (std::size_t side = 1; side < 2000; ++side)
        EXPECT_EQ(fastai_cut(side, 3000, 224, 0, 0).side,
                  static_cast<std::size_t>(static_cast<double>(side) / 224 * 224));
}

TEST(resize, cuts_where_the_fraction_says) {
    // Columns that hold their own number: without scaling, the cut shows its offset.
    rgb_image image{100, 10, {}};
    for (std::size_t y = 0; y < 10; ++y)
        for (std::size_t x = 0; x < 100; ++x)
            image.pixels.insert(image.pixels.end(), 3, static_cast<std::uint8_t>(x));
    for (const simd level : levels()) {
        EXPECT_EQ(resized(image, 10, 0, level).front(), 0);
        EXPECT_EQ(resized(image, 10, 0.5, level).front(), 45);
        EXPECT_EQ(resized(image, 10, 0.999, level).front(), 89);
        EXPECT_EQ(resized(image, 10, 0.999, level).back(), 98);
    }
}

// The formula of kernels::cut_photographs, from what others are told of a cut.
TEST(resize, cuts_that_others_make_have_the_same_bits) {
    constexpr std::size_t size = 24;
    for (const auto& [width, height] :
         {std::pair<std::size_t, std::size_t>{67, 100}, {100, 67}, {24, 31}, {9, 7}}) {
        rgb_image image = noise(width, height);
        const half_resized photo = resize_covered_axis(image, size);
        for (const double fraction : {0., 0.37, 0.5, 1.}) {
            const cut_source from = source_of_cut(width, height, size, fraction);
            const cut_weights weights = weights_of_cut(from.side, size);
            ASSERT_EQ(weights.numbers.size(), size * (2 + weights.taps));
            const std::size_t along = from.free_is_vertical ? from.stride : 3,
                              across = from.free_is_vertical ? 3 : from.stride;
            std::vector<std::uint8_t> square;
            for (std::size_t row = 0; row < size; ++row)
                for (std::size_t column = 0; column < size; ++column)
                    for (std::size_t c = 0; c < 3; ++c) {
                        const std::size_t i = from.free_is_vertical ? row : column,
                                          j = from.free_is_vertical ? column : row;
                        const std::int32_t* table = weights.numbers.data() + i * (2 + weights.taps);
                        std::int64_t sum = 1 << 21;
                        for (int k = 0; k < table[1]; ++k)
                            sum +=
                                std::int64_t{table[2 + k]} *
                                photo.pixels.at(from.offset + static_cast<std::size_t>(table[0] + k) * along +
                                                j * across + c);
                        square.push_back(static_cast<std::uint8_t>(sum >> 22));
                    }
            EXPECT_TRUE(square == resized(image, size, fraction, best_simd()))
                << width << "x" << height << " at " << fraction;
        }
    }
}
