// SPDX-License-Identifier: Apache-2.0
// Finds the values with which a network answers nothing but NaN: those that are not finite, and variances
// below zero, whose root is taken.
#pragma once

#include <cstddef>
#include <optional>
#include <span>
#include <string>
#include <string_view>

namespace petnet::model {

struct unusable_values {
    std::size_t not_finite = 0; // NaN, infinity, or beyond float32
    std::size_t negative = 0;   // of a variance

    [[nodiscard]] bool any() const noexcept { return not_finite + negative != 0; }
};

// Counts them in a tensor, which is known as a variance by its name (`running_var`, Adam's `adam.v.`).
[[nodiscard]] unusable_values count_unusable(std::string_view name, std::span<const float> values) noexcept;

// "3 values that are not finite", "1 negative variance", or both.
[[nodiscard]] std::string to_string(const unusable_values& values);

// Looks at one tensor after the other and remembers the first that cannot be used.
class value_check {
  public:
    unusable_values add(std::string_view name, std::span<const float> values);

    // "bn1.weight has 3 values that are not finite, and 2 more tensors have such values"; nothing where all
    // can be used.
    [[nodiscard]] std::optional<std::string> finding() const;

  private:
    std::string first_name_;
    unusable_values first_;
    std::size_t tensors_ = 0;
};

} // namespace petnet::model
