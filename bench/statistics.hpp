// SPDX-License-Identifier: Apache-2.0
// What is said of measured times: order statistics, and whether two sets of them differ.
#pragma once

#include <span>
#include <utility>
#include <vector>

namespace petnet::bench {

// Of samples in any order, by linear interpolation between the order statistics; `fraction` 0: the least, 1:
// the largest. std::logic_error where there is no sample.
[[nodiscard]] double quantile(std::vector<double> samples, double fraction);

struct summary {
    double median = 0, first_quartile = 0, third_quartile = 0;
    // The distance between the quartiles, of the median: half of the samples lie within it.
    [[nodiscard]] double spread() const {
        return median > 0 ? (third_quartile - first_quartile) / median : 0;
    }
};
[[nodiscard]] summary summarise(const std::vector<double>& samples);
[[nodiscard]] inline double median_of(std::vector<double> samples) {
    return quantile(std::move(samples), 0.5);
}

// Two-sided p of the test of Mann and Whitney (1947): how likely samples of one distribution, ranked
// together, lie at least as far apart as these. Exact, over all ways to deal the ranks out (ties share their
// mean rank), where there are at most 64 samples in all; else by the normal approximation. 1 where a set is
// empty.
[[nodiscard]] double rank_test(std::span<const double> a, std::span<const double> b);

} // namespace petnet::bench
