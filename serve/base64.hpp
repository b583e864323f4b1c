// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace petnet::serve {

// The bytes that base64 (RFC 4648, with padding; line ends are skipped) stands for; nothing where it is none.
[[nodiscard]] std::optional<std::string> from_base64(std::string_view text);

} // namespace petnet::serve
