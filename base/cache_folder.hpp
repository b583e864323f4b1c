// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <filesystem>

namespace petnet {

// Where petnet keeps what later runs use again: PETNET_CACHE_DIR, else XDG_CACHE_HOME/petnet, else
// ~/.cache/petnet. It need not be there yet.
[[nodiscard]] std::filesystem::path cache_folder();

} // namespace petnet
