// SPDX-License-Identifier: Apache-2.0
// Archives as a test wants them, good or hostile.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

namespace petnet::testing {

struct archive_member {
    enum kind : std::uint8_t { file, folder, symbolic_link, hard_link, fifo, character_device, block_device };

    std::string path;         // written as it is
    std::string content = {}; // of a file
    kind type = file;
    std::string target = {}; // of a link
    unsigned permissions = 0644;
};

// A tar archive; packed by "gzip", "zstd" or not ("none").
void make_archive(const std::filesystem::path& path, const std::vector<archive_member>& members,
                  const std::string& filter = "gzip");

} // namespace petnet::testing
