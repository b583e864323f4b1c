// SPDX-License-Identifier: Apache-2.0
// How the readers of this folder say no.
#pragma once

#include "base/errors.hpp"

#include <string>
#include <string_view>

namespace petnet::model {

// Throws input_error("FILE: REASON").
[[noreturn]] inline void refuse(std::string_view file, std::string_view reason) {
    throw input_error(std::string(file) + ": " + std::string(reason));
}

// Text from a file, made fit for a one-line message: quoted, unprintable bytes as '?', cut after 100 bytes.
[[nodiscard]] inline std::string printable(std::string_view text) {
    constexpr std::size_t longest = 100;
    std::string result = "'";
    for (char c : text.substr(0, longest)) result += c >= 0x20 && c < 0x7f ? c : '?';
    return result + (text.size() > longest ? "...'" : "'");
}

} // namespace petnet::model
