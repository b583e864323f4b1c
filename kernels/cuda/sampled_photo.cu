// SPDX-License-Identifier: Apache-2.0
// Photographs sampled at a projective grid, to activations: one thread an output pixel, which stores all
// stored channels. Neither the averaged photograph nor the grid is ever in memory.
//
// Averaging and bilinear interpolation are both separable, and both are sums over neighbouring pixels: of a
//   point between the averaged rows j and j+1, `weight` of the way, a pixel row in both their ranges counts
//   (1-weight)/count(j) + weight/count(j+1), and columns likewise. 460x460 for 224x224 take 3 to 4 pixels an
//   axis, photographs that are not averaged 2.
// Numerics: float32; a coordinate of up to `side` pixels is off by a few units of 2^-24 * side.
// Bandwidth: the bytes of the photograph once, as neighbouring points share pixels by way of L1; 8 (16-bit)
//   or 16 (float32) bytes written a pixel.
#include "kernels/area_average.hpp"
#include "kernels/cuda/context.hpp"
#include "kernels/cuda/element.cuh"
#include "kernels/cuda/elementwise.cuh"
#include "kernels/cuda/layout.hpp"

#include <algorithm>

namespace petnet::kernels::cuda {
namespace {

constexpr int colours = 3;

// An axis of the photographs: its pixels, and what they are averaged to.
struct sampled_axis {
    int pixels, averaged;
};

template <class Element> struct sampling_parameters {
    const std::uint8_t* pixels;
    const float* transforms; // nullptr: the identity
    Element* y;
    sampled_axis rows, columns;
    int height, width; // of y
    unsigned count;    // of y's pixels
    int stored;        // channels of y
    float scale[colours], shift[colours];
};

// The pixels of an axis that a point is made of: [first, end), and what each counts.
struct axis_samples {
    int first, next_first, here_end, end; // of averaged pixel j: [first, here_end), of j+1: [next_first, end)
    float here, next;                     // what a pixel of each counts

    __device__ float weight_of(int pixel) const {
        return (pixel < here_end ? here : 0.0F) + (pixel >= next_first ? next : 0.0F);
    }
};

// `point`: -1 and 1 are the centres of the outermost averaged pixels, and reflect.
__device__ axis_samples find_samples(float point, const sampled_axis& axis) {
    constexpr float most_reflections = 1000;
    const auto last = static_cast<float>(axis.averaged - 1);
    float at = fabsf(fmaf(point, 0.5F * last, 0.5F * last));
    at = at <= most_reflections * last ? at : 0.0F; // a NaN becomes 0 as well
    const int reflections = last > 0.0F ? static_cast<int>(at / last) : 0;
    at = fmaf(static_cast<float>(-reflections), last, at);
    at = (reflections & 1) != 0 ? last - at : at;
    at = fminf(fmaxf(at, 0.0F), last); // the quotient above is rounded
    const int index = static_cast<int>(at);
    const float weight = at - static_cast<float>(index);
    const auto j = averaged_pixels(index, axis.pixels, axis.averaged);
    const int next = std::min(index + 1, axis.averaged - 1); // the last pixel has none, which would count 0
    const auto after = averaged_pixels(next, axis.pixels, axis.averaged);
    return {j.first,
            after.first,
            j.end,
            after.end,
            (1.0F - weight) / static_cast<float>(j.end - j.first),
            weight / static_cast<float>(after.end - after.first)};
}

// Between -1 and 1; 0 on an axis of one pixel.
__device__ float grid_point(int index, int extent) {
    return extent > 1 ? static_cast<float>(2 * index - (extent - 1)) / static_cast<float>(extent - 1) : 0.0F;
}

// sigmoid(c * (logit(s) + b)) = 1 / (1 + 2^(c * (log2((1-s)/s) - b*log2(e)))).
__device__ float change_light(float s, float brightness, float contrast) {
    constexpr float least = 1e-7F, log2_e = 1.44269504F;
    const float odds = fmaxf(1.0F - s, least) / fmaxf(s, least);
    return 1.0F / (1.0F + exp2f(contrast * (log2f(odds) - brightness * log2_e)));
}

template <class Element, int Count>
__global__ void __launch_bounds__(elementwise_block) sample_photo(sampling_parameters<Element> of) {
    const unsigned item = item_of_thread();
    if (item >= of.count) return;
    const unsigned area = static_cast<unsigned>(of.height) * static_cast<unsigned>(of.width);
    const unsigned image = item / area, place = item % area;
    float u = grid_point(static_cast<int>(place % static_cast<unsigned>(of.width)), of.width);
    float v = grid_point(static_cast<int>(place / static_cast<unsigned>(of.width)), of.height);
    const float* const m =
        of.transforms != nullptr ? of.transforms + std::int64_t{photo_transform_columns} * image : nullptr;
    if (m != nullptr) {
        const float x = u, y = v, inverse_t = 1.0F / fmaf(m[6], x, fmaf(m[7], y, m[8]));
        u = fmaf(m[0], x, fmaf(m[1], y, m[2])) * inverse_t;
        v = fmaf(m[3], x, fmaf(m[4], y, m[5])) * inverse_t;
    }
    const axis_samples rows = find_samples(v, of.rows), columns = find_samples(u, of.columns);

    float sums[colours] = {};
    for (int row = rows.first; row < rows.end; ++row) {
        const std::uint8_t* from =
            of.pixels +
            colours * ((std::int64_t{image} * of.rows.pixels + row) * of.columns.pixels + columns.first);
        const float row_weight = rows.weight_of(row);
        for (int column = columns.first; column < columns.end; ++column, from += colours) {
            const float weight = row_weight * columns.weight_of(column);
            for (int c = 0; c < colours; ++c) sums[c] = fmaf(weight, static_cast<float>(from[c]), sums[c]);
        }
    }

    pack<Element, Count> values;
    for (int c = 0; c < Count; ++c) values.at[c] = from_float<Element>(0.0F);
    for (int c = 0; c < colours; ++c) {
        float s = sums[c] * (1.0F / 255);
        if (m != nullptr) s = change_light(s, m[9], m[10]);
        values.at[c] = from_float<Element>(fmaf(s, of.scale[c], of.shift[c]));
    }
    Element* const to = of.y + std::int64_t{of.stored} * item;
    store_pack(to, values);
    for (int c = 0; c < colours; ++c) values.at[c] = from_float<Element>(0.0F);
    for (int first = Count; first < of.stored; first += Count) store_pack(to + first, values);
}

} // namespace

std::unique_ptr<operation> prepare(context& cuda, const sampled_photo_to_tensor& op) {
    const shape &photos = op.pixels.desc.dims, &y = op.y.desc.dims;
    const plane_extents averaged = averaged_extents({photos[1], photos[2]}, {y[2], y[3]});
    const std::int64_t count = y[0] * y[2] * y[3];
    const auto stored = static_cast<int>(stored_channels(op.y.desc));
    return with_element(
        op.y.desc.type, stored, [&]<class Element, int Count>(Element, std::integral_constant<int, Count>) {
            sampling_parameters<Element> parameters{
                elements<const std::uint8_t>(op.pixels),
                elements<const float>(op.transforms),
                elements<Element>(op.y),
                {static_cast<int>(photos[1]), static_cast<int>(averaged.height)},
                {static_cast<int>(photos[2]), static_cast<int>(averaged.width)},
                static_cast<int>(y[2]),
                static_cast<int>(y[3]),
                static_cast<unsigned>(count),
                stored,
                {},
                {}};
            for (std::size_t c = 0; c < colours; ++c) {
                const auto mean = static_cast<double>(op.mean[c]),
                           deviation = static_cast<double>(op.deviation[c]);
                parameters.scale[c] = static_cast<float>(1 / deviation);
                parameters.shift[c] = static_cast<float>(-mean / deviation);
            }
            return make_operation(
                0, [stream = cuda.stream(), grid = elementwise_grid(count), parameters](std::byte*) {
                    launch(stream, grid, elementwise_block, sample_photo<Element, Count>, parameters);
                });
        });
}

} // namespace petnet::kernels::cuda
