// SPDX-License-Identifier: Apache-2.0
// The 16-bit types against their definition.
#include <bit>
#include <cmath>
#include <cstdint>
#include <cuda_bf16.h>
#include <cuda_fp16.h>
#include <gtest/gtest.h>
#include <limits>
#include <vector>

namespace cuda_host {
namespace {

// A 16-bit format: what it is made of, and the conversions under test.
struct half_format {
    static constexpr int mantissa_bits = 10, bias = 15;
    static float widen(unsigned short bits) { return __half2float(__ushort_as_half(bits)); }
    static unsigned short narrow(float value) { return __half_as_ushort(__float2half_rn(value)); }
};
struct bfloat16_format {
    static constexpr int mantissa_bits = 7, bias = 127;
    static float widen(unsigned short bits) { return __bfloat162float(__ushort_as_bfloat16(bits)); }
    static unsigned short narrow(float value) { return __bfloat16_as_ushort(__float2bfloat16_rn(value)); }
};

// The value of a pattern from the format's definition, in double; the pattern of infinity counts as the power
// of two above the largest number, as rounding sees it.
template <class Format> double defined_value(unsigned int bits) {
    const int mantissa = static_cast<int>(bits & ((1U << Format::mantissa_bits) - 1));
    const int exponent = static_cast<int>((bits & 0x7FFFU) >> Format::mantissa_bits);
    const int implied = exponent == 0 ? 0 : 1 << Format::mantissa_bits;
    const double magnitude =
        std::ldexp(mantissa + implied, std::max(exponent, 1) - Format::bias - Format::mantissa_bits);
    return (bits & 0x8000U) != 0 ? -magnitude : magnitude;
}
template <class Format>
constexpr unsigned int infinity_bits = 0x7FFFU >> Format::mantissa_bits << Format::mantissa_bits;

// Nearest by search among all magnitudes; ties to the even pattern.
template <class Format> unsigned int nearest(float value) {
    const double magnitude = std::fabs(static_cast<double>(value));
    unsigned int below = 0, above = infinity_bits<Format>;
    if (magnitude >= defined_value<Format>(above)) below = above;
    while (above - below > 1 && below < above) {
        const unsigned int middle = (below + above) / 2;
        (defined_value<Format>(middle) <= magnitude ? below : above) = middle;
    }
    const double to_below = magnitude - defined_value<Format>(below),
                 to_above = defined_value<Format>(above) - magnitude;
    const bool up = to_above < to_below || (to_above == to_below && below % 2 == 1);
    return (up ? above : below) | (std::signbit(value) ? 0x8000U : 0U);
}

template <class Format> class cuda_conversions : public testing::Test {};
using formats = testing::Types<half_format, bfloat16_format>;
TYPED_TEST_SUITE(cuda_conversions, formats);

TYPED_TEST(cuda_conversions, all_values_there_and_back) {
    for (unsigned int bits = 0; bits < 0x1'0000; ++bits) {
        const float value = TypeParam::widen(static_cast<unsigned short>(bits));
        const unsigned int magnitude = bits & 0x7FFFU;
        if (magnitude > infinity_bits<TypeParam>) {
            ASSERT_TRUE(std::isnan(value)) << bits;
            ASSERT_EQ(TypeParam::narrow(value), 0x7FFF) << bits;
            continue;
        }
        if (magnitude == infinity_bits<TypeParam>)
            ASSERT_TRUE(std::isinf(value)) << bits;
        else
            ASSERT_EQ(static_cast<double>(value), defined_value<TypeParam>(bits)) << bits;
        ASSERT_EQ(std::signbit(value), bits > 0x7FFF) << bits;
        ASSERT_EQ(TypeParam::narrow(value), bits) << bits;
    }
}

TYPED_TEST(cuda_conversions, rounding_is_to_nearest_even) {
    const auto check = [](float value) {
        ASSERT_EQ(TypeParam::narrow(value), nearest<TypeParam>(value)) << std::hexfloat << value;
        ASSERT_EQ(TypeParam::narrow(-value), nearest<TypeParam>(-value)) << std::hexfloat << value;
    };
    // Every midpoint of two neighbours, and the floats around it.
    for (unsigned int bits = 0; bits < infinity_bits<TypeParam>; ++bits) {
        const double middle = (defined_value<TypeParam>(bits) + defined_value<TypeParam>(bits + 1)) / 2;
        const auto value = static_cast<float>(middle);
        for (const float towards : {0.0F, std::numeric_limits<float>::infinity()})
            check(std::nextafter(value, towards));
        check(value);
    }
    // Floats of all magnitudes.
    for (std::uint32_t bits = 0; bits < 0x7F80'0000U; bits += 4099) check(std::bit_cast<float>(bits));
    check(std::numeric_limits<float>::max());
    check(std::numeric_limits<float>::denorm_min());
    check(std::numeric_limits<float>::infinity());
}

} // namespace
} // namespace cuda_host
