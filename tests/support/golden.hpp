// SPDX-License-Identifier: Apache-2.0
// Where the golden data lie: the folder that PETNET_GOLDEN_DIR names, else the copy in the repository.
#pragma once

#include <cstdlib>
#include <filesystem>

namespace petnet::testing {

[[nodiscard]] inline std::filesystem::path golden_dir() {
    const char* other = std::getenv("PETNET_GOLDEN_DIR");
    return other != nullptr ? other : PETNET_DEFAULT_GOLDEN_DIR;
}

} // namespace petnet::testing
