// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string_view>

namespace petnet::serve {

// The page (page.html): HTML that asks no other host for anything.
[[nodiscard]] std::string_view page();

// Its Content-Security-Policy: so that no other host could be asked.
inline constexpr std::string_view page_policy =
    "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; img-src blob: data:; "
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

} // namespace petnet::serve
