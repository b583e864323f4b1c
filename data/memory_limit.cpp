// SPDX-License-Identifier: Apache-2.0
#include "data/memory_limit.hpp"

#include <algorithm>
#include <charconv>
#include <fstream>
#include <limits>
#include <string>
#include <string_view>
#include <unistd.h>

namespace petnet::data {
namespace {

namespace fs = std::filesystem;

constexpr std::size_t no_limit = std::numeric_limits<std::size_t>::max();

std::size_t memory_of_machine() {
    const long pages = ::sysconf(_SC_PHYS_PAGES);
    const long page_bytes = ::sysconf(_SC_PAGESIZE);
    if (pages <= 0 || page_bytes <= 0) return std::size_t{2} << 30;
    return static_cast<std::size_t>(pages) * static_cast<std::size_t>(page_bytes);
}

// Version 2 says "max" and version 1 a number near 2^63 where there is no limit.
std::size_t limit_in(const fs::path& file) {
    std::string text;
    std::ifstream(file) >> text;
    std::size_t bytes = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), bytes);
    return error == std::errc() && end == text.data() + text.size() && bytes != 0 ? bytes : no_limit;
}

// The least limit of a group and of those above it, up to where the hierarchy is mounted. In a container the
// path of the group may be one of the host, which is not seen here; the mount then is the container's own
// group.
std::size_t limit_of_group(const fs::path& mount, const fs::path& group, const char* file) {
    std::size_t least = limit_in(mount / file);
    fs::path here = mount;
    for (const fs::path& part : group.relative_path())
        least = std::min(least, limit_in((here /= part) / file));
    return least;
}

} // namespace

std::size_t memory_limit(const fs::path& root) {
    std::size_t least = memory_of_machine();
    std::ifstream groups(root / "proc/self/cgroup"); // lines of number:controllers:path; version 2: 0::path
    for (std::string line; std::getline(groups, line);) {
        const std::size_t first = line.find(':');
        const std::size_t second = line.find(':', first + 1);
        if (first == std::string::npos || second == std::string::npos) continue;
        const std::string controllers = "," + line.substr(first + 1, second - first - 1) + ",";
        const std::string group = line.substr(second + 1);
        if (controllers == ",,")
            least = std::min(least, limit_of_group(root / "sys/fs/cgroup", group, "memory.max"));
        else if (controllers.find(",memory,") != std::string::npos)
            least = std::min(least,
                             limit_of_group(root / "sys/fs/cgroup/memory", group, "memory.limit_in_bytes"));
    }
    return least;
}

} // namespace petnet::data
