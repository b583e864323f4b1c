// SPDX-License-Identifier: Apache-2.0
// Test values that depend on a name alone.
#pragma once

#include "base/float16.hpp"
#include "base/random.hpp"

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

// To the nearest float32, bfloat16 or float16 (ties to even).
[[nodiscard]] inline double rounded_to_f32(double value) {
    return static_cast<double>(static_cast<float>(value));
}
[[nodiscard]] inline double rounded_to_bf16(double value) {
    return static_cast<double>(float_of_bfloat16(bfloat16_of_float(static_cast<float>(value))));
}
[[nodiscard]] inline double rounded_to_f16(double value) {
    return static_cast<double>(float_of_half(half_of_float(static_cast<float>(value))));
}

} // namespace petnet::testing
