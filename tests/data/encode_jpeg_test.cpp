// SPDX-License-Identifier: Apache-2.0
#include "data/encode_jpeg.hpp"

#include "tests/data/test_folder.hpp"

#include <cstdlib>

using namespace petnet;
using namespace petnet::data;

TEST(encode_jpeg, gives_what_decode_reads) {
    for (const auto& [width, height] : {std::pair<std::size_t, std::size_t>{1, 1}, {37, 29}, {300, 5}}) {
        rgb_image image{width, height, {}};
        for (std::size_t i = 0; i < width * height; ++i) // a soft slope, which JPEG keeps well
            image.pixels.insert(image.pixels.end(), {static_cast<std::uint8_t>(i % width / 2 + 40),
                                                     static_cast<std::uint8_t>(i / width + 90), 120});
        const rgb_image read = decode(encode_jpeg(image, 95), "x");
        ASSERT_EQ(read.width, width);
        ASSERT_EQ(read.height, height);
        for (std::size_t i = 0; i < image.pixels.size(); ++i)
            ASSERT_LE(std::abs(int{read.pixels[i]} - int{image.pixels[i]}), 6) << i;
    }
    EXPECT_THROW((void)encode_jpeg({70'000, 1, std::vector<std::uint8_t>(210'000)}), std::logic_error);
}
