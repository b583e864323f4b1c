// SPDX-License-Identifier: Apache-2.0
// The loops of sampled_photo_to_tensor, each over one row of a photograph. sampling_loops.cpp is compiled
// once for each instruction set below.
//
// Between them a pixel is 4 floats (red, green, blue in [0, 1], and one without a meaning): one vector.
#pragma once

#include "kernels/cpu/bf16.hpp"

#include <cstdint>

namespace petnet::kernels::cpu {

// Which of a row's pixels make one averaged pixel: `count` of them from `first` on.
struct averaged_column {
    std::int32_t first, count;
    float weight; // 1 / count
};

// What sample_row samples: rows of `stride` pixels, of which the last, and the whole last row, are behind the
// picture: finite, but of no weight.
struct sampled_picture {
    const float* pixels;
    std::int64_t height, width, stride;
};

template <typename T> struct sampling_loops {
    // averaged[4*i + c] = mean of channel c over `rows` rows and the pixels of columns[i], i < count. The
    // rows (width * 3 bytes) follow one another; `sums` is scratch memory of 3*width + 1 floats.
    void (*average_rows)(const std::uint8_t* pixels, std::int64_t rows, std::int64_t width,
                         const averaged_column* columns, std::int64_t count, float* sums, float* averaged);
    // samples[4*i + c] = channel c of the picture at the point that the 3x3 `matrix` (null: the identity)
    // gives for (across[i], down), i < count.
    void (*sample_row)(const sampled_picture& picture, const float* matrix, const float* across, float down,
                       std::int64_t count, float* samples);
    // s = sigmoid(contrast * (logit(s) + brightness)) for each of `count` values.
    void (*change_light)(float* samples, std::int64_t count, float brightness, float contrast);
    // y[i*pixel_stride + c*channel_stride] = samples[4*i + c] * scale[c] + shift[c], i < count, c < 3.
    void (*store_row)(const float* samples, std::int64_t count, const float* scale, const float* shift, T* y,
                      std::int64_t pixel_stride, std::int64_t channel_stride);
};

// The widest set this processor runs.
template <typename T> [[nodiscard]] const sampling_loops<T>& best_sampling_loops();

namespace baseline {
extern const sampling_loops<float> float_sampling_loops;
extern const sampling_loops<bf16> bf16_sampling_loops;
} // namespace baseline
namespace avx2 {
extern const sampling_loops<float> float_sampling_loops;
extern const sampling_loops<bf16> bf16_sampling_loops;
} // namespace avx2
namespace avx512 {
extern const sampling_loops<float> float_sampling_loops;
extern const sampling_loops<bf16> bf16_sampling_loops;
} // namespace avx512

} // namespace petnet::kernels::cpu
