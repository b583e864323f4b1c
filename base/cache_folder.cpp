// SPDX-License-Identifier: Apache-2.0
#include "base/cache_folder.hpp"

#include <cstdlib>
#include <string>

namespace petnet {
namespace {

std::string environment(const char* name) {
    const char* value = std::getenv(name);
    return value == nullptr ? "" : value;
}

} // namespace

std::filesystem::path cache_folder() {
    if (const std::string own = environment("PETNET_CACHE_DIR"); !own.empty()) return own;
    const std::string xdg = environment("XDG_CACHE_HOME"), home = environment("HOME");
    return xdg.empty() ? std::filesystem::path(home.empty() ? "/tmp" : home) / ".cache/petnet"
                       : std::filesystem::path(xdg) / "petnet";
}

} // namespace petnet
