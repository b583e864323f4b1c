// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "data/decode.hpp"

#include <cstddef>
#include <vector>

namespace petnet::data {

// A JPEG of the image, baseline, chroma at half resolution. `quality` as libjpeg's, 1 to 100. Sides of 1 to
// 65500 pixels, else a std::logic_error.
[[nodiscard]] std::vector<std::byte> encode_jpeg(const rgb_image& image, int quality = 88);

} // namespace petnet::data
