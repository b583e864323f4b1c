// SPDX-License-Identifier: Apache-2.0
// Test values that depend on a name alone.
#pragma once

#include "base/random.hpp"

#include <bit>
#include <cstdint>
#include <string_view>
#include <vector>

namespace petnet::testing {

// Standard normal draws, times `deviation`, plus `mean`.
[[nodiscard]] inline std::vector<double> normal_values(std::size_t count, std::string_view name,
                                                       double deviation = 1, double mean = 0) {
    const random_key key = random_key(1).child(name);
    std::vector<double> values(count);
    for (std::size_t i = 0; i < count; ++i) values[i] = mean + deviation * key.normal(i);
    return values;
}

// Values in (-2, 2) in random order, no two closer than 4 / count: none is near another or near 0, so that a
// small step changes no maximum.
[[nodiscard]] inline std::vector<double> distinct_values(std::size_t count, std::string_view name) {
    const std::vector<std::size_t> order = random_permutation(count, random_key(1).child(name));
    std::vector<double> values(count);
    for (std::size_t i = 0; i < count; ++i)
        values[i] = (static_cast<double>(order[i]) + 0.75) / static_cast<double>(count) * 4 - 2;
    return values;
}

// To the nearest float32, or bfloat16 (ties to even).
[[nodiscard]] inline double rounded_to_f32(double value) {
    return static_cast<double>(static_cast<float>(value));
}
[[nodiscard]] inline double rounded_to_bf16(double value) {
    const auto bits = std::bit_cast<std::uint32_t>(static_cast<float>(value));
    const std::uint32_t rounded = (bits + 0x7FFF + ((bits >> 16) & 1)) & 0xFFFF0000U;
    return static_cast<double>(std::bit_cast<float>(rounded));
}

} // namespace petnet::testing
