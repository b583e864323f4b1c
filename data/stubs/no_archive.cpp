// SPDX-License-Identifier: Apache-2.0
// Stands in for data/archive.cpp where libarchive was not found at configure time.
#include "base/errors.hpp"
#include "data/archive.hpp"

namespace petnet::data {

void unpack_archive(const std::filesystem::path& archive, std::string_view /*inside*/,
                    const std::filesystem::path& /*folder*/, const archive_limits& /*limits*/,
                    const work_listener& /*listener*/) {
    throw environment_error("cannot unpack " + archive.string() +
                            ": libarchive was not there when petnet was built");
}

} // namespace petnet::data
