// SPDX-License-Identifier: Apache-2.0
#include "bench/statistics.hpp"

#include <cmath>
#include <gtest/gtest.h>
#include <stdexcept>

using namespace petnet::bench;

namespace {

TEST(summarise, interpolates_between_the_order_statistics) {
    const summary odd = summarise({5, 1, 4, 2, 3});
    EXPECT_DOUBLE_EQ(odd.median, 3);
    EXPECT_DOUBLE_EQ(odd.first_quartile, 2);
    EXPECT_DOUBLE_EQ(odd.third_quartile, 4);
    EXPECT_DOUBLE_EQ(odd.spread(), 2.0 / 3);
    EXPECT_DOUBLE_EQ(summarise({1, 2, 3, 4}).median, 2.5);
    EXPECT_DOUBLE_EQ(summarise({1, 2, 3, 4}).first_quartile, 1.75);
    EXPECT_DOUBLE_EQ(summarise({7}).third_quartile, 7);
    EXPECT_THROW(static_cast<void>(summarise({})), std::logic_error);
}

// Counted by going through all ways to choose.
TEST(rank_test, is_exact_for_few_samples) {
    const std::vector<double> low{1, 2, 3, 4, 5}, high{6, 7, 8, 9, 10};
    EXPECT_DOUBLE_EQ(rank_test(low, high), 2.0 / 252); // one way of 252 on each side
    EXPECT_DOUBLE_EQ(rank_test(high, low), 2.0 / 252);
    EXPECT_DOUBLE_EQ(rank_test(low, std::vector<double>{0.5, 1.5, 2.5, 3.5, 4.5}), 174.0 / 252);
    EXPECT_DOUBLE_EQ(rank_test(std::vector<double>{1}, std::vector<double>{2}), 1);
    // Ten against five, all apart: 2 of the 3003 ways to choose five of fifteen.
    const std::vector<double> more{6, 7, 8, 9, 10, 11, 12, 13, 14, 15};
    EXPECT_DOUBLE_EQ(rank_test(low, more), 2.0 / 3003);
}

TEST(rank_test, gives_ties_their_mean_rank) {
    const std::vector<double> same(5, 1.0);
    EXPECT_DOUBLE_EQ(rank_test(same, same), 1);
    // Ranks 1 2.5 | 2.5 4: of the six ways, the sums are 3.5 3.5 5 5 6.5 6.5.
    EXPECT_DOUBLE_EQ(rank_test(std::vector<double>{1, 2}, std::vector<double>{2, 3}), 4.0 / 6);
    EXPECT_DOUBLE_EQ(rank_test({}, same), 1);
}

TEST(rank_test, approximates_where_there_are_many) {
    std::vector<double> a, b;
    for (int i = 0; i < 32; ++i) {
        a.push_back(i);
        b.push_back(i + 0.5 + 6);
    }
    const double exact = rank_test(a, b); // 64 in all
    a.push_back(15.9);
    b.push_back(22.4);
    const double approximate = rank_test(a, b);
    EXPECT_LT(exact, 0.05);
    EXPECT_NEAR(approximate, exact, 0.2 * exact);
    const std::vector<double> same(40, 1.0);
    EXPECT_DOUBLE_EQ(rank_test(same, same), 1);
}

} // namespace
