// SPDX-License-Identifier: Apache-2.0
// Compiled once for each instruction set, as loops.cpp is, and under the same rules: nothing from the
// standard library is used.
#include "kernels/cpu/sampling_loops.hpp"

#include "kernels/cpu/element.hpp"

namespace petnet::kernels::cpu::PETNET_ISA {
namespace {

using pixel = float __attribute__((vector_size(16)));

inline pixel load_pixel(const float* from) {
    pixel value;
    __builtin_memcpy(&value, from, sizeof value);
    return value;
}
inline void store_pixel(float* to, pixel value) { __builtin_memcpy(to, &value, sizeof value); }

void average_rows(const std::uint8_t* __restrict pixels, std::int64_t rows, std::int64_t width,
                  const averaged_column* columns, std::int64_t count, float* __restrict sums,
                  float* __restrict averaged) {
    const std::int64_t bytes = 3 * width;
    for (std::int64_t i = 0; i < bytes; ++i) sums[i] = static_cast<float>(pixels[i]);
    for (std::int64_t r = 1; r < rows; ++r)
        for (std::int64_t i = 0; i < bytes; ++i) sums[i] += static_cast<float>(pixels[r * bytes + i]);
    sums[bytes] = 0; // the last pixel's fourth float
    const float row_weight = 1.0F / (255.0F * static_cast<float>(rows));
    for (std::int64_t i = 0; i < count; ++i) {
        const float* from = sums + std::int64_t{3} * columns[i].first;
        pixel sum = load_pixel(from);
        for (std::int32_t k = 1; k < columns[i].count; ++k) sum += load_pixel(from += 3);
        store_pixel(averaged + 4 * i, sum * (row_weight * columns[i].weight));
    }
}

// A place on an axis whose last pixel is `last`: between pixel `index` and the next one, `weight` of the way.
struct place {
    std::int32_t index;
    float weight;
};

// From [-1, 1] to pixels, reflected at the first and the last.
inline place place_of(float point, float last, float inverse_last) {
    constexpr float most_reflections = 1000;
    float at = __builtin_fabsf(point * (0.5F * last) + 0.5F * last);
    at = at <= most_reflections * last ? at : 0.0F; // a NaN becomes 0 as well
    const auto reflections = static_cast<std::int32_t>(at * inverse_last);
    at -= static_cast<float>(reflections) * last;
    at = (reflections & 1) != 0 ? last - at : at;
    at = at < 0.0F ? 0.0F : at; // the product above is rounded
    at = at > last ? last : at;
    const auto index = static_cast<std::int32_t>(at);
    return {index, at - static_cast<float>(index)};
}

void sample_row(const sampled_picture& picture, const float* matrix, const float* __restrict across,
                float down, std::int64_t count, float* __restrict samples) {
    constexpr float identity[] = {1, 0, 0, 0, 1, 0, 0, 0, 1};
    const float* m = matrix != nullptr ? matrix : identity;
    const float u_x = m[0], u_1 = m[1] * down + m[2], v_x = m[3], v_1 = m[4] * down + m[5], t_x = m[6],
                t_1 = m[7] * down + m[8];
    const auto last_column = static_cast<float>(picture.width - 1),
               last_row = static_cast<float>(picture.height - 1);
    const float inverse_column = picture.width > 1 ? 1.0F / last_column : 0.0F,
                inverse_row = picture.height > 1 ? 1.0F / last_row : 0.0F;
    const auto stride = static_cast<std::int32_t>(picture.stride);
    constexpr std::int64_t group = 128; // points whose places stay in the first-level cache
    alignas(64) std::int32_t indices[group];
    alignas(64) float right[group], below[group];
    for (std::int64_t first = 0; first < count; first += group) {
        const std::int64_t points = count - first < group ? count - first : group;
#pragma omp simd
        for (std::int64_t i = 0; i < points; ++i) {
            const float x = across[first + i];
            const float inverse_t = 1.0F / (t_x * x + t_1);
            const place column = place_of((u_x * x + u_1) * inverse_t, last_column, inverse_column);
            const place row = place_of((v_x * x + v_1) * inverse_t, last_row, inverse_row);
            indices[i] = row.index * stride + column.index;
            right[i] = column.weight;
            below[i] = row.weight;
        }
        for (std::int64_t i = 0; i < points; ++i) {
            const float* from = picture.pixels + std::int64_t{4} * indices[i];
            const float* next_row = from + 4 * picture.stride;
            const pixel top_left = load_pixel(from), bottom_left = load_pixel(next_row);
            const pixel top = top_left + (load_pixel(from + 4) - top_left) * right[i];
            const pixel bottom = bottom_left + (load_pixel(next_row + 4) - bottom_left) * right[i];
            store_pixel(samples + 4 * (first + i), top + (bottom - top) * below[i]);
        }
    }
}

// Of a positive, normal number; the mantissa m in [sqrt(1/2), sqrt(2)): log(m) = 2 atanh((m-1)/(m+1)).
inline float log2_of(float x) {
    const auto bits = __builtin_bit_cast(std::int32_t, x);
    constexpr std::int32_t root_of_half = 0x3F3504F3;
    const std::int32_t exponent = (bits - root_of_half) >> 23;
    const auto mantissa = __builtin_bit_cast(float, bits - (exponent << 23));
    const float z = (mantissa - 1.0F) / (mantissa + 1.0F), z2 = z * z; // |z| < 0.1716: z^11 is below 2^-27
    const float series = z * (2.0F + z2 * (2.0F / 3 + z2 * (2.0F / 5 + z2 * (2.0F / 7 + z2 * (2.0F / 9)))));
    constexpr float log2_e = 1.44269504F;
    return static_cast<float>(exponent) + series * log2_e;
}

inline float exp2_of(float x) {
    x = x < -126.0F ? -126.0F : x; // beyond, the result would not be a normal number
    x = x > 126.0F ? 126.0F : x;
    constexpr float shifter = 0x1.8p23F; // adding it rounds to a whole number, which is then in the low bits
    const float shifted = x + shifter;
    const std::int32_t whole =
        __builtin_bit_cast(std::int32_t, shifted) - __builtin_bit_cast(std::int32_t, shifter);
    constexpr float log_2 = 0.693147181F;
    const float r = (x - (shifted - shifter)) * log_2; // |r| < 0.3466: r^8/8! is below 2^-27
    const float series =
        1.0F +
        r * (1.0F +
             r * (1.0F / 2 + r * (1.0F / 6 + r * (1.0F / 24 +
                                                  r * (1.0F / 120 + r * (1.0F / 720 + r * (1.0F / 5040)))))));
    return series * __builtin_bit_cast(float, (whole + 127) << 23);
}

// sigmoid(c * (logit(s) + b)) = 1 / (1 + 2^(c * (log2((1-s)/s) - b*log2(e)))).
void change_light(float* samples, std::int64_t count, float brightness, float contrast) {
    constexpr float least = 1e-7F; // of s and of 1-s
    const float shift = brightness * 1.44269504F;
#pragma omp simd
    for (std::int64_t i = 0; i < count; ++i) {
        float s = samples[i], rest = 1.0F - s;
        s = s < least ? least : s;
        rest = rest < least ? least : rest;
        samples[i] = 1.0F / (1.0F + exp2_of(contrast * (log2_of(rest / s) - shift)));
    }
}

template <typename T>
void store_row(const float* __restrict samples, std::int64_t count, const float* scale, const float* shift,
               T* __restrict y, std::int64_t pixel_stride, std::int64_t channel_stride) {
    for (std::int64_t c = 0; c < 3; ++c)
        for (std::int64_t i = 0; i < count; ++i)
            store(y[i * pixel_stride + c * channel_stride], samples[4 * i + c] * scale[c] + shift[c]);
}

template <typename T>
constexpr sampling_loops<T> all_sampling_loops{average_rows, sample_row, change_light, store_row<T>};

} // namespace

const sampling_loops<float> float_sampling_loops = all_sampling_loops<float>;
const sampling_loops<bf16> bf16_sampling_loops = all_sampling_loops<bf16>;

} // namespace petnet::kernels::cpu::PETNET_ISA
