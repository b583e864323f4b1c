// SPDX-License-Identifier: Apache-2.0
// Many photographs on one picture, a band for each class.
#pragma once

#include "data/decode.hpp"
#include "data/image_folder.hpp"
#include "data/labels.hpp"

#include <string>

namespace petnet::app {

// Photographs spread evenly over each class, cut to squares as training's validation cuts them; the more for
// each class the fewer classes there are. Broken photographs are left out, as are classes beyond the first
// 100. `title` and the classes' names stand beside them; letters outside of ASCII are shown as '?'.
[[nodiscard]] data::rgb_image contact_sheet(const data::image_folder& folder,
                                            const data::photo_labels& labels, const std::string& title);

} // namespace petnet::app
