// SPDX-License-Identifier: Apache-2.0
// Words of HTTP headers.
#pragma once

#include <algorithm>
#include <string_view>

namespace petnet::serve {

// Of the same letters in ASCII, whatever their case.
[[nodiscard]] inline bool same_word(std::string_view a, std::string_view b) {
    const auto lower = [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; };
    return std::ranges::equal(a, b, {}, lower, lower);
}

// Without blanks at its ends.
[[nodiscard]] inline std::string_view trimmed(std::string_view text) {
    const std::size_t first = text.find_first_not_of(" \t");
    if (first == std::string_view::npos) return {};
    return text.substr(first, text.find_last_not_of(" \t") + 1 - first);
}

// What a header's value begins with, before its parameters: "text/html" of "text/html; charset=utf-8".
[[nodiscard]] inline std::string_view before_parameters(std::string_view value) {
    return trimmed(value.substr(0, value.find(';')));
}

} // namespace petnet::serve
