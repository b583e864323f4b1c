// SPDX-License-Identifier: Apache-2.0
// Which pixels of a photograph are averaged before it is sampled much smaller than it is
// (sampled_photo_to_tensor), as fastai does it: vision/augment.py, _grid_sample. Host and device code.
#pragma once

#include <cstdint>

namespace petnet::kernels {

struct plane_extents {
    std::int64_t height = 0, width = 0;
    bool operator==(const plane_extents&) const = default;
};

// With d = min(photo.height / output.height, photo.width / output.width) / 2: the photograph's extents
// divided by d and rounded down where d > 1, else as they are. 460x460 for 224x224 becomes 448x448.
[[nodiscard]] constexpr plane_extents averaged_extents(const plane_extents& photo,
                                                       const plane_extents& output) noexcept {
    if (photo.height <= 2 * output.height || photo.width <= 2 * output.width) return photo;
    if (photo.height * output.width <= photo.width * output.height)
        return {2 * output.height, photo.width * 2 * output.height / photo.height};
    return {photo.height * 2 * output.width / photo.width, 2 * output.width};
}

// The pixels [first, end) whose mean is pixel `index` of an axis that is shrunk from `pixels` to `averaged`
// (at most as many). Neighbours may share pixels: PyTorch's adaptive_avg_pool.
template <class Integer> struct pixel_range { Integer first = 0, end = 0; };
template <class Integer>
[[nodiscard]] constexpr pixel_range<Integer> averaged_pixels(Integer index, Integer pixels,
                                                             Integer averaged) noexcept {
    return {index * pixels / averaged, ((index + 1) * pixels + averaged - 1) / averaged};
}

} // namespace petnet::kernels
