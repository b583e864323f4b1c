// SPDX-License-Identifier: Apache-2.0
#include "model/weights/value_check.hpp"

#include <array>
#include <gmock/gmock.h>
#include <limits>
#include <vector>

using namespace petnet::model;

namespace {

constexpr float nan_value = std::numeric_limits<float>::quiet_NaN();
constexpr float infinite = std::numeric_limits<float>::infinity();

TEST(value_check, each_place_and_kind_counts) {
    for (const std::size_t size : {1U, 2U, 3U, 17U, 64U, 1000U})
        for (const float value : {nan_value, -nan_value, infinite, -infinite})
            for (std::size_t at = 0; at < size; ++at) {
                std::vector<float> values(size, -1.0F);
                values[at] = value;
                const unusable_values found = count_unusable("conv1.weight", values);
                ASSERT_EQ(found.not_finite, 1U) << value << " at " << at << " of " << size;
                ASSERT_EQ(found.negative, 0U);
            }
}

TEST(value_check, what_is_finite_passes) {
    const std::array values{0.0F,
                            -0.0F,
                            std::numeric_limits<float>::max(),
                            std::numeric_limits<float>::lowest(),
                            std::numeric_limits<float>::denorm_min(),
                            -std::numeric_limits<float>::min()};
    EXPECT_FALSE(count_unusable("bn1.running_mean", values).any());
    EXPECT_FALSE(count_unusable("bn1.running_var", {}).any());
    const std::array variances{0.0F, -0.0F, 1.0F};
    EXPECT_FALSE(count_unusable("bn1.running_var", variances).any());
}

TEST(value_check, variances_below_zero_are_known_by_the_name) {
    const std::array values{1.0F, -1.0F, -infinite, -std::numeric_limits<float>::denorm_min()};
    for (const char* name : {"bn1.running_var", "0.4.0.bn2.running_var", "adam.v.conv1.weight"}) {
        EXPECT_EQ(count_unusable(name, values).not_finite, 1U) << name;
        EXPECT_EQ(count_unusable(name, values).negative, 3U) << name;
    }
    for (const char* name : {"bn1.running_mean", "adam.m.conv1.weight", "running_var.weight"})
        EXPECT_EQ(count_unusable(name, values).negative, 0U) << name;
}

TEST(value_check, says_the_first_tensor_and_how_many_more) {
    value_check check;
    const std::array good{1.0F, 2.0F}, one{1.0F, nan_value}, two{infinite, nan_value}, below{-1.0F, 2.0F};
    EXPECT_FALSE(check.add("a.weight", good).any());
    EXPECT_EQ(check.finding(), std::nullopt);
    EXPECT_TRUE(check.add("b.weight", two).any());
    EXPECT_EQ(check.finding(), "b.weight has 2 values that are not finite");
    check.add("c.weight", good);
    check.add("d.weight", one);
    EXPECT_EQ(check.finding(),
              "b.weight has 2 values that are not finite, and 1 more tensor has such values");
    check.add("e.running_var", below);
    EXPECT_EQ(check.finding(),
              "b.weight has 2 values that are not finite, and 2 more tensors have such values");

    value_check of_variances;
    of_variances.add("e.running_var", below);
    EXPECT_EQ(of_variances.finding(), "e.running_var has 1 negative variance");
    EXPECT_EQ(to_string(unusable_values{1, 2}), "1 value that is not finite and 2 negative variances");
}

} // namespace
