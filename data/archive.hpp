// SPDX-License-Identifier: Apache-2.0
// Unpacking an archive that nobody vouches for.
#pragma once

#include "data/work_listener.hpp"

#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>

namespace petnet::data {

// What an archive may hold, all members counted, also those that are not unpacked.
struct archive_limits {
    std::uint64_t bytes = 0;   // of the unpacked archive
    std::uint64_t members = 0; // files and folders
    double ratio = 20;         // unpacked to packed bytes, once more than 16 MiB are unpacked
};

// Unpacks the members of a tar archive (plain, gzip or zstd) that lie in its folder `inside` ("images"; "":
// all) into `folder`, which is there and empty; "a/images/x.jpg" becomes "x.jpg" for inside "a/images".
// Nothing is written outside `folder`, whatever the archive says: input_error (naming archive and member) for
// an absolute path, a "..", a link, a device or anything else that is neither file nor folder, a member that
// is there twice, more than the limits allow, an archive that is cut, corrupt or of another kind. Owners,
// permissions and times of the members are not taken over. Memory is bounded by the decompressors' windows
// (zstd: 128 MiB). environment_error: the disk failed; work_stopped. What was unpacked before an error stays.
void unpack_archive(const std::filesystem::path& archive, std::string_view inside,
                    const std::filesystem::path& folder, const archive_limits& limits,
                    const work_listener& listener);

} // namespace petnet::data
