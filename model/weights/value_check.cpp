// SPDX-License-Identifier: Apache-2.0
#include "model/weights/value_check.hpp"

#include <bit>
#include <cstdint>

namespace petnet::model {
namespace {

bool is_variance(std::string_view name) {
    return name.ends_with("running_var") || name.starts_with("adam.v.");
}

std::string counted(std::size_t count, const char* one, const char* several) {
    return std::to_string(count) + " " + (count == 1 ? one : several);
}

} // namespace

unusable_values count_unusable(std::string_view name, std::span<const float> values) noexcept {
    constexpr std::uint32_t sign = 0x80000000, infinity = 0x7f800000;
    unusable_values result;
    for (const float value : values)
        result.not_finite += (std::bit_cast<std::uint32_t>(value) & ~sign) >= infinity ? 1U : 0U;
    if (is_variance(name))
        for (const float value : values) result.negative += value < 0 ? 1U : 0U;
    return result;
}

std::string to_string(const unusable_values& values) {
    std::string text;
    if (values.not_finite != 0)
        text = counted(values.not_finite, "value that is not finite", "values that are not finite");
    if (values.negative != 0)
        text += (text.empty() ? "" : " and ") +
                counted(values.negative, "negative variance", "negative variances");
    return text;
}

unusable_values value_check::add(std::string_view name, std::span<const float> values) {
    const unusable_values found = count_unusable(name, values);
    if (found.any() && tensors_++ == 0) {
        first_name_ = name;
        first_ = found;
    }
    return found;
}

std::optional<std::string> value_check::finding() const {
    if (tensors_ == 0) return std::nullopt;
    std::string text = first_name_ + " has " + to_string(first_);
    if (tensors_ > 1)
        text += ", and " + counted(tensors_ - 1, "more tensor has", "more tensors have") + " such values";
    return text;
}

} // namespace petnet::model
