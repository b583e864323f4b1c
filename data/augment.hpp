// SPDX-License-Identifier: Apache-2.0
// What fastai's aug_transforms(size) draws for a photograph, and the sampling transform that it comes to
// (vision/augment.py; `petnet train --recipe augmented`). Which pixels that reads is the backend's work.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string_view>

namespace petnet::data {

// As drawn by fastai; the values here change nothing.
struct augmentation {
    bool flip = false;
    double warp_x = 0, warp_y = 0;               // perspective: by how much the square's corners move, of 1
    double degrees = 0;                          // of rotation
    double zoom = 1, zoom_x = 0.5, zoom_y = 0.5; // zoom_x, zoom_y: the centre, of the photograph's sides
    double brightness = 0.5;                     // what a medium grey becomes
    double contrast = 1;                         // factor of the logits
};

// The draws of a photograph in an epoch (counted over the whole run), from
// random_key(seed).child("augment").child(epoch).child(name). Each with its own probability, independent of
// the others:
//   1/2  flip
//   3/4  warp_x, and warp_y: uniform in (-0.2, 0.2)
//   3/4  degrees: uniform in (-10, 10)
//   3/4  zoom: uniform in (1, 1.1); always its centre, uniform in (0, 1) along either side
//   3/4  brightness: uniform in (0.4, 0.6)
//   3/4  contrast: exp of uniform in (log 0.8, -log 0.8)
[[nodiscard]] augmentation draw_augmentation(std::uint64_t seed, std::uint64_t epoch, std::string_view name);

// Where a square photograph is sampled, and how its light changes: the 3x3 matrix from the output's plane to
// the photograph's, row by row, both of them from -1 to 1 along x and y; then what is added to the logits of
// the values, and the factor of the sum. fastai samples at warp(flip * rotation * zoom * point); both are
// projective, so that one matrix holds them all.
using photo_transform = std::array<double, 11>;
[[nodiscard]] photo_transform transform_of(const augmentation& drawn);

// The side of the squares that photographs are cut to before they are sampled down to `size`: as 460 is to
// 224 in fastai's examples ("presizing"), so that rotated and warped samples find pixels enough.
[[nodiscard]] std::int64_t presized(std::int64_t size) noexcept;

} // namespace petnet::data
