// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>

namespace petnet {

// The time now, in UTC, to the second; `format` as of strftime, at most 63 characters of text.
[[nodiscard]] std::string utc_now(const char* format = "%Y-%m-%dT%H:%M:%SZ");

} // namespace petnet
