// SPDX-License-Identifier: Apache-2.0
// The loops that oneDNN has no primitive for, each over one piece that fits in the cache; the callers cut the
// tensors into pieces and hand them to threads. loops.cpp is compiled once for each instruction set below.
//
// Everywhere: `rows` rows of `channels` neighbouring elements, f32 or bf16 in memory, f32 in registers;
// per-channel arrays have `channels` elements; optional pointers may be null.
#pragma once

#include "kernels/cpu/bf16.hpp"

#include <cstdint>

namespace petnet::kernels::cpu {

// What batch_norm_backward reads to form its g = relu_cut(dy + dy2).
template <typename T> struct incoming_gradient {
    const T* dy;
    const T* dy2;       // optional
    const T* y;         // optional: cut where y <= 0 ...
    const float* scale; // ... else, where both of these are given, cut where scale*x + shift <= 0
    const float* shift;
};

template <typename T> struct loops {
    // mean[c] and sum of squared deviations m2[c] of each channel (two passes over the piece)
    void (*moments)(const T* x, std::int64_t rows, std::int64_t channels, float* mean, float* m2);
    // y = relu?(scale*x + shift + residual)
    void (*apply)(const T* x, const T* residual, T* y, std::int64_t rows, std::int64_t channels,
                  const float* scale, const float* shift, bool relu);
    // sum_g[c] = sum of g, sum_gx[c] = sum of g*(x - mean); g itself is stored where wanted
    void (*gradient_sums)(const incoming_gradient<T>& gradient, const T* x, T* g, std::int64_t rows,
                          std::int64_t channels, const float* mean, float* sum_g, float* sum_gx);
    // dx = slope*g - tilt*(x - mean) - offset
    void (*gradient_apply)(const incoming_gradient<T>& gradient, const T* x, T* dx, std::int64_t rows,
                           std::int64_t channels, const float* mean, const float* slope, const float* tilt,
                           const float* offset);
    // One output row of the 3x3/2 max-pool from the three input rows (null: outside) of `columns`;
    // scale and shift optional: relu(scale*x + shift) is pooled. argmax optional.
    void (*max_pool_row)(const T* const rows[3], std::int64_t columns, std::int64_t channels,
                         const float* scale, const float* shift, T* y, std::uint8_t* argmax);
    // One input row of its backward from the output rows that may have chosen it: above (window row 2 or 1)
    // and below (window row 0); `taps` are these window rows, dy null: no such output row.
    struct pool_gradient {
        const T *dy, *dy2;
        const std::uint8_t* argmax;
        int tap_row;
    };
    void (*max_pool_backward_row)(const pool_gradient sources[2], std::int64_t columns, std::int64_t channels,
                                  T* dx);
    // y[i] = table[i % 3][pixels[i]], i < 3*count: photographs to channels-last
    void (*photo_to_channels_last)(const std::uint8_t* pixels, std::int64_t count, const float (*table)[256],
                                   T* y);
    // y[i] = table[pixels[3*i]], i < count: one channel of a photograph to a plane
    void (*photo_to_plane)(const std::uint8_t* pixels, std::int64_t count, const float* table, T* y);
};

// p, m, v as in adam_step; debias1 = 1-mom^t, debias2 = 1-beta2^t, shrink = 1 - lr*weight_decay or 1; g is
// multiplied by inverse_scale.
struct adam_constants {
    float lr, mom, debias1, debias2, beta2, epsilon, shrink, inverse_scale;
};
using adam_loop = void (*)(float* p, const float* g, float* m, float* v, std::int64_t count,
                           const adam_constants& a);

// The widest set this processor runs.
template <typename T> [[nodiscard]] const loops<T>& best_loops();
[[nodiscard]] adam_loop best_adam_loop();

namespace baseline {
extern const loops<float> float_loops;
extern const loops<bf16> bf16_loops;
extern const adam_loop adam;
} // namespace baseline
namespace avx2 {
extern const loops<float> float_loops;
extern const loops<bf16> bf16_loops;
extern const adam_loop adam;
} // namespace avx2
namespace avx512 {
extern const loops<float> float_loops;
extern const loops<bf16> bf16_loops;
extern const adam_loop adam;
} // namespace avx512

} // namespace petnet::kernels::cpu
