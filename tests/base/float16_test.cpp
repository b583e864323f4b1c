// SPDX-License-Identifier: Apache-2.0
// The 16-bit formats in software: every value there and back, and rounding at every boundary.
#include "base/float16.hpp"

#include <gtest/gtest.h>

#include <limits>

namespace petnet {
namespace {

constexpr float infinity = std::numeric_limits<float>::infinity();

// Of each two neighbouring finite values: halfway goes to the even one, a little off it to the nearer.
template <class Decode, class Encode>
void expect_nearest_even(std::uint16_t infinite, Decode decode, Encode encode) {
    for (std::uint16_t low = 0; low + 1 < infinite; ++low) {
        const auto high = static_cast<std::uint16_t>(low + 1);
        ASSERT_EQ(encode(decode(low)), low);
        ASSERT_EQ(encode(-decode(low)), 0x8000U | low);
        const float middle = decode(low) + (decode(high) - decode(low)) / 2; // exact: one more bit
        ASSERT_EQ(encode(middle), low % 2 == 0 ? low : high) << low;
        ASSERT_EQ(encode(std::nextafter(middle, 0.0F)), low) << low;
        ASSERT_EQ(encode(std::nextafter(middle, infinity)), high) << low;
    }
    EXPECT_EQ(encode(infinity), infinite);
    EXPECT_EQ(encode(-infinity), 0x8000U | infinite);
    EXPECT_EQ(decode(infinite), infinity);
    EXPECT_TRUE(std::isnan(decode(encode(std::numeric_limits<float>::quiet_NaN()))));
}

TEST(float16, rounds_to_nearest_even) {
    expect_nearest_even(0x7C00, float_of_half, half_of_float);
    EXPECT_EQ(half_of_float(65519.0F), 0x7BFF);
    EXPECT_EQ(half_of_float(65520.0F), 0x7C00);
    EXPECT_EQ(float_of_half(0x3555), 0.333251953125F);
}

TEST(bfloat16, rounds_to_nearest_even) {
    expect_nearest_even(0x7F80, float_of_bfloat16, bfloat16_of_float);
    EXPECT_EQ(bfloat16_of_float(1.0F), 0x3F80);
}

} // namespace
} // namespace petnet
