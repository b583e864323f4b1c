// SPDX-License-Identifier: Apache-2.0
// What training would find in a folder of photographs, by decoding all of them.
#pragma once

#include "data/image_folder.hpp"
#include "data/work_listener.hpp"

#include <cstddef>
#include <vector>

namespace petnet::data {

struct photo_survey {
    // In pixels, of each photograph of the folder; both 0 where it is broken.
    std::vector<std::size_t> widths, heights;
    std::vector<broken_photo> broken; // of the listing and of decoding, sorted by name
};

// On all cores, within the memory that decoding may take (data/photo_file.hpp). work_stopped.
[[nodiscard]] photo_survey survey_photos(const image_folder& folder, const work_listener& listener = {});

} // namespace petnet::data
