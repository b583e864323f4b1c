// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "data/image_folder.hpp"
#include "data/work_listener.hpp"

#include <cstddef>
#include <filesystem>
#include <vector>

namespace petnet::data {

struct photograph_check {
    std::size_t good = 0;
    std::vector<broken_photo> broken; // in the order of their names
};

// Decodes every photograph of a folder (data/image_folder.hpp) whole, on all cores. The memory that decoding
// takes is bounded: one photograph above 64 MB at a time. Errors as open_image_folder's; work_stopped.
[[nodiscard]] photograph_check check_photographs(const std::filesystem::path& folder,
                                                 const work_listener& listener);

} // namespace petnet::data
