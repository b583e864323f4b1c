// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

namespace petnet::app {

// A number of bytes as people write it: 8GB, 1.5 GB, 512MiB, 0; k, M, G and T of 1000, with i of 1024, upper
// or lower case. Nothing where it is none, or 2^63 and more.
[[nodiscard]] std::optional<std::uint64_t> byte_size(std::string_view text);

} // namespace petnet::app
