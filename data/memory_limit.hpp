// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <filesystem>

namespace petnet::data {

// Bytes of memory that this process may use: the machine's, or less where its control group (version 1 or 2,
// or one above it) allows less, as in containers and jobs of a cluster. `root` is where /proc and /sys are
// looked for.
[[nodiscard]] std::size_t memory_limit(const std::filesystem::path& root = "/");

} // namespace petnet::data
