// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <string_view>

namespace petnet::report {

// Text for HTML and XML, in elements and quoted attributes. Control characters, which XML has no place for,
// become blanks.
[[nodiscard]] std::string escaped(std::string_view text);

} // namespace petnet::report
