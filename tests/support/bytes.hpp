// SPDX-License-Identifier: Apache-2.0
// Bytes of a file that a test writes by hand.
#pragma once

#include <cstddef>
#include <span>
#include <string_view>
#include <vector>

namespace petnet::test {

using bytes_type = std::vector<std::byte>;

inline bytes_type bytes_of(std::string_view text) {
    const auto all = std::as_bytes(std::span(text));
    return {all.begin(), all.end()};
}

} // namespace petnet::test
