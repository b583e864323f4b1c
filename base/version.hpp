// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <vector>

namespace petnet {

// "0.1.0 (commit 1a2b3c4)"; without the commit where petnet was not built from a git checkout.
[[nodiscard]] std::string version();

// What this build leaves out and why, one line each.
[[nodiscard]] std::vector<std::string> disabled_features();

} // namespace petnet
