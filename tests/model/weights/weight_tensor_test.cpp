// SPDX-License-Identifier: Apache-2.0
#include "weight_test_support.hpp"

#include <cmath>
#include <limits>

using namespace petnet::model;
using namespace petnet::model::testing;

namespace {

weight_tensor tensor_of(weight_dtype dtype, std::string_view bytes) {
    return {"t",
            dtype,
            {static_cast<std::int64_t>(bytes.size() / element_size(dtype))},
            as_bytes(bytes),
            nullptr};
}

template <typename stored>
std::vector<double> values(weight_dtype dtype, std::initializer_list<stored> elements) {
    std::string bytes = "x"; // so that the elements are misaligned, as they can be in a file
    for (stored element : elements) bytes += le(element);
    const weight_tensor tensor = tensor_of(dtype, std::string_view(bytes).substr(1));
    std::vector<double> exact = tensor.to_float64();
    const std::vector<float> single = tensor.to_float32();
    for (std::size_t i = 0; i < exact.size(); ++i) EXPECT_EQ(single[i], static_cast<float>(exact[i]));
    return exact;
}

TEST(weight_tensor, values_of_each_dtype) {
    EXPECT_EQ(values<double>(weight_dtype::f64, {1.5, -0.1}), (std::vector<double>{1.5, -0.1}));
    EXPECT_EQ(values<float>(weight_dtype::f32, {1.5f, -2.0f}), (std::vector<double>{1.5, -2}));
    EXPECT_EQ(values<std::int64_t>(weight_dtype::i64, {-1, 1LL << 53}), (std::vector<double>{-1, 0x1p53}));
    EXPECT_EQ(values<std::int32_t>(weight_dtype::i32, {-7, 8}), (std::vector<double>{-7, 8}));
    EXPECT_EQ(values<std::int16_t>(weight_dtype::i16, {-7, 8}), (std::vector<double>{-7, 8}));
    EXPECT_EQ(values<std::int8_t>(weight_dtype::i8, {-7, 8}), (std::vector<double>{-7, 8}));
    EXPECT_EQ(values<std::uint8_t>(weight_dtype::u8, {0, 255}), (std::vector<double>{0, 255}));
    EXPECT_EQ(values<std::uint8_t>(weight_dtype::boolean, {0, 1, 2}), (std::vector<double>{0, 1, 1}));
    EXPECT_EQ(values<std::uint16_t>(weight_dtype::bf16, {0x3f80, 0xc000, 0x0001}),
              (std::vector<double>{1, -2, 0x1p-133}));
    // One, the largest, the smallest normal, the largest and the smallest subnormal, minus zero, infinity.
    const auto half =
        values<std::uint16_t>(weight_dtype::f16, {0x3c00, 0x7bff, 0x0400, 0x03ff, 0x8001, 0x8000, 0xfc00});
    EXPECT_EQ(half, (std::vector<double>{1, 65504, 0x1p-14, 0x1.ff8p-15, -0x1p-24, -0.0,
                                         -std::numeric_limits<double>::infinity()}));
    EXPECT_TRUE(std::signbit(half[5]));
    EXPECT_TRUE(std::isnan(tensor_of(weight_dtype::f16, le<std::uint16_t>(0x7e00)).to_float32()[0]));
}

TEST(weight_tensor, float64_beyond_float32_becomes_infinite) {
    const std::string bytes = le(1e300) + le(-1e300) + le(0x1.fffffefp127) + le(std::nan(""));
    const auto single = tensor_of(weight_dtype::f64, bytes).to_float32();
    EXPECT_EQ(single[0], std::numeric_limits<float>::infinity());
    EXPECT_EQ(single[1], -std::numeric_limits<float>::infinity());
    EXPECT_EQ(single[2], std::numeric_limits<float>::max());
    EXPECT_TRUE(std::isnan(single[3]));
}

TEST(weight_tensor, wrong_sizes_are_reported) {
    const std::vector<float> two = {1, 2};
    EXPECT_THROW((void)float32_tensor("w", {3}, two), std::invalid_argument);
    EXPECT_THROW((void)float32_tensor("w", {-2, -1}, two), std::invalid_argument);
    std::vector<float> out(3);
    EXPECT_THROW(float32_tensor("w", {2}, two).to_float32(out), std::invalid_argument);
    EXPECT_TRUE(float32_tensor("w", {0, 3}, {}).to_float32().empty());
}

} // namespace
