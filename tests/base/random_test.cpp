// SPDX-License-Identifier: Apache-2.0
#include "base/random.hpp"

#include <algorithm>
#include <cmath>
#include <gtest/gtest.h>

using namespace petnet;

// Reference value of the algorithm's authors: FNV-1a of "foobar", and splitmix64's first output for seed 0.
TEST(random, known_answers) {
    EXPECT_EQ(fnv1a_64("foobar"), 0x85944171f73967e8ULL);
    EXPECT_EQ(splitmix64_finalise(0x9E3779B97F4A7C15ULL), 0xE220A8397B1DCDAFULL);
}

TEST(random, uniform_moments) {
    const random_key key = random_key(7).child("moments");
    double sum = 0, squares = 0;
    constexpr int n = 100000;
    for (int i = 0; i < n; ++i) {
        const double u = key.uniform(static_cast<std::uint64_t>(i));
        ASSERT_GE(u, 0.0);
        ASSERT_LT(u, 1.0);
        sum += u;
        squares += u * u;
    }
    // Six standard errors of the mean and of the mean square.
    EXPECT_NEAR(sum / n, 0.5, 6 * std::sqrt(1.0 / 12 / n));
    EXPECT_NEAR(squares / n, 1.0 / 3, 6 * std::sqrt(4.0 / 45 / n));
}

TEST(random, normal_moments) {
    const random_key key = random_key(7).child("normal");
    double sum = 0, squares = 0;
    constexpr int n = 100000;
    for (int i = 0; i < n; ++i) {
        const double z = key.normal(static_cast<std::uint64_t>(i));
        sum += z;
        squares += z * z;
    }
    EXPECT_NEAR(sum / n, 0.0, 6 / std::sqrt(n));
    EXPECT_NEAR(squares / n, 1.0, 6 * std::sqrt(2.0 / n));
}

TEST(random, permutation_holds_each_index_once_and_depends_on_the_key) {
    const auto a = random_permutation(100, random_key(1));
    auto sorted = a;
    std::sort(sorted.begin(), sorted.end());
    for (std::size_t i = 0; i < sorted.size(); ++i) EXPECT_EQ(sorted[i], i);
    EXPECT_EQ(a, random_permutation(100, random_key(1)));
    EXPECT_NE(a, random_permutation(100, random_key(2)));
    EXPECT_TRUE(random_permutation(0, random_key(1)).empty());
}

// Every position is reached by every element equally often: chi-squared over 5 x 5 counts.
TEST(random, permutation_is_uniform) {
    constexpr int n = 5, runs = 20000;
    int counts[n][n] = {};
    for (int run = 0; run < runs; ++run) {
        const auto order = random_permutation(n, random_key(static_cast<std::uint64_t>(run)));
        for (std::size_t i = 0; i < n; ++i) ++counts[i][order[i]];
    }
    double chi_squared = 0;
    for (const auto& row : counts)
        for (int count : row) chi_squared += std::pow(count - runs / 5.0, 2) / (runs / 5.0);
    EXPECT_LT(chi_squared, 45.0); // 16 degrees of freedom: exceeded by chance once in 7,000
}
