// SPDX-License-Identifier: Apache-2.0
// Comparison of tensors in units of their largest value.
#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <span>

namespace petnet::testing {

[[nodiscard]] inline double largest_magnitude(std::span<const double> values) {
    double largest = 0;
    for (const double value : values)
        if (!std::isnan(value)) largest = std::max(largest, std::abs(value));
    return largest;
}

// Succeeds if |actual - expected| <= limit * max(largest |expected|, scale) for every element. NaN equals
// NaN. `scale` stands for the size of the terms where they cancel in the result.
[[nodiscard]] inline ::testing::AssertionResult
close_to(std::span<const double> actual, std::span<const double> expected, double limit, double scale = 0) {
    if (actual.size() != expected.size())
        return ::testing::AssertionFailure() << actual.size() << " values, not " << expected.size();
    scale = std::max(scale, largest_magnitude(expected));
    for (std::size_t i = 0; i < actual.size(); ++i) {
        if (actual[i] == expected[i] || (std::isnan(actual[i]) && std::isnan(expected[i]))) continue;
        const double difference = std::abs(actual[i] - expected[i]) / scale;
        if (!(difference <= limit)) // NaN fails
            return ::testing::AssertionFailure()
                   << "element " << i << " of " << actual.size() << ": " << actual[i] << ", not "
                   << expected[i] << ", off by " << difference << " of " << scale << ", limit " << limit;
    }
    return ::testing::AssertionSuccess();
}

} // namespace petnet::testing
