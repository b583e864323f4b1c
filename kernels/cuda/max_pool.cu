// SPDX-License-Identifier: Apache-2.0
// 3x3 maximum, stride 2, padding 1, over x or over relu(scale*x + shift), and its gradient. NHWC: a thread
// works on one pack of channels of one output pixel.
//
// Forward: windows are clamped to the image instead of cut. Every clamped place lies in the window too, is
// seen
//   with its own position, and neighbours in row-major order stay in order, so that maximum and first
//   position are those of the cut window, and the loads have no branches. NaN counts as larger than any
//   number.
// Backward: output pixel (p, q) owns the pixels (2p, 2q) to (2p+1, 2q+1) of dx. They lie in no windows but
//   (p, q) to (p+1, q+1): the thread reads these four and assigns its four pixels. No two threads write the
//   same place, and the windows of a pixel are added in row-major order.
// Padding channels: x and dy are 0 there, scale and shift are taken as 0, so that y and dx are 0.
// Bandwidth: one read of x (its overlaps come from L1 and L2), one write of y and argmax; and the reverse.
#include "kernels/cuda/context.hpp"
#include "kernels/cuda/element.cuh"
#include "kernels/cuda/elementwise.cuh"
#include "kernels/cuda/layout.hpp"

namespace petnet::kernels::cuda {
namespace {

constexpr int window = 3, stride = 2, padding = 1;

// Extents of the large side (x, dx) and of the small side (y, dy), and the number of threads.
struct pool_shape {
    pool_shape(const tensor_desc& large, const tensor_desc& small, int pack_channels)
        : height(static_cast<int>(large.dims[2])),
          width(static_cast<int>(large.dims[3])),
          out_height(static_cast<int>(small.dims[2])),
          out_width(static_cast<int>(small.dims[3])),
          channels(static_cast<int>(large.dims[1])),
          stored(static_cast<int>(stored_channels(large))),
          threads(stored_elements(small) / pack_channels) {}
    int height, width, out_height, out_width, channels, stored;
    std::int64_t threads;
};

// The output pixel and the first channel of a thread.
struct pool_place {
    __device__ pool_place(const pool_shape& shape, int pack_channels) {
        const auto packs = static_cast<unsigned>(shape.stored / pack_channels);
        const auto columns = static_cast<unsigned>(shape.out_width),
                   rows = static_cast<unsigned>(shape.out_height);
        const unsigned item = item_of_thread(), pixel = item / packs, row = pixel / columns;
        c = static_cast<int>(item % packs) * pack_channels;
        q = static_cast<int>(pixel % columns);
        p = static_cast<int>(row % rows);
        n = row / rows;
    }
    std::int64_t n;
    int p, q, c;
};

__device__ int clamp(int value, int end) { return value < 0 ? 0 : value < end ? value : end - 1; }

__device__ bool is_larger(float candidate, float best) {
    return candidate > best || (isnan(candidate) && !isnan(best));
}

// Count channels from c on of a vector that holds `channels`; 0 past its end.
template <int Count>
__device__ void load_vector(const float* vector, int c, int channels, float (&values)[std::size_t{Count}]) {
    for (int j = 0; j < Count; j += 4) {
        if (channels % 4 == 0 && c + j < channels) { // aligned, as the vector itself is
            const auto four = load_pack<4>(vector + c + j);
            for (int k = 0; k < 4; ++k) values[j + k] = four.at[k];
        } else {
            for (int k = 0; k < 4; ++k) values[j + k] = c + j + k < channels ? vector[c + j + k] : 0.0F;
        }
    }
}

template <class Element> struct pool_parameters {
    pool_shape shape;
    const Element* x;
    const float *scale, *shift; // (channels), aligned like `saved` where channels come in fours
    Element* y;
    std::uint8_t* argmax; // or nullptr
};

template <class Element, int Count, bool Normalises>
__global__ void __launch_bounds__(elementwise_block) max_pool(pool_parameters<Element> pool) {
    const pool_shape& shape = pool.shape;
    if (item_of_thread() >= shape.threads) return;
    const auto [n, p, q, c] = pool_place(shape, Count);
    [[maybe_unused]] float scale[std::size_t{Count}], shift[std::size_t{Count}];
    if constexpr (Normalises) {
        load_vector<Count>(pool.scale, c, shape.channels, scale);
        load_vector<Count>(pool.shift, c, shape.channels, shift);
    }
    const Element* image = pool.x + n * shape.height * shape.width * shape.stored + c;
    const int top = stride * p - padding, left = stride * q - padding;
    float best[std::size_t{Count}] = {};
    int position[std::size_t{Count}] = {};
    for (int row = 0; row < window; ++row) {
        const int h = clamp(top + row, shape.height);
        pack<Element, Count> seen[window];
        for (int column = 0; column < window; ++column)
            seen[column] = load_pack<Count>(image + (h * shape.width + clamp(left + column, shape.width)) *
                                                        shape.stored);
        for (int column = 0; column < window; ++column) {
            const int here = window * (h - top) + clamp(left + column, shape.width) - left;
            for (int j = 0; j < Count; ++j) {
                float a = to_float(seen[column].at[j]);
                if constexpr (Normalises) a = relu(fmaf(scale[j], a, shift[j]));
                const bool larger = (row == 0 && column == 0) || is_larger(a, best[j]);
                best[j] = larger ? a : best[j];
                position[j] = larger ? here : position[j];
            }
        }
    }
    const std::int64_t at = ((n * shape.out_height + p) * shape.out_width + q) * shape.stored + c;
    pack<Element, Count> y;
    for (int j = 0; j < Count; ++j) y.at[j] = from_float<Element>(best[j]);
    store_pack(pool.y + at, y);
    if (pool.argmax == nullptr) return;
    pack<std::uint8_t, Count> argmax;
    for (int j = 0; j < Count; ++j) argmax.at[j] = static_cast<std::uint8_t>(position[j]);
    store_pack(pool.argmax + at, argmax);
}

template <class Element> struct pool_gradient_parameters {
    pool_shape shape;
    const Element *dy, *dy2; // dy2 or nullptr
    const std::uint8_t* argmax;
    Element* dx;
};

// One window's gradient, and where it goes; nowhere if the window lies outside.
template <int Count> struct window_gradient {
    float g[std::size_t{Count}];
    pack<std::uint8_t, Count> position;
};

template <int Count, class Element>
__device__ window_gradient<Count> load_window(const pool_gradient_parameters<Element>& pool, std::int64_t at,
                                              bool inside) {
    constexpr std::uint8_t nowhere = window * window;
    window_gradient<Count> loaded;
    for (int j = 0; j < Count; ++j) {
        loaded.g[j] = 0;
        loaded.position.at[j] = nowhere;
    }
    if (!inside) return loaded;
    loaded.position = load_pack<Count>(pool.argmax + at);
    const auto dy = load_pack<Count>(pool.dy + at);
    for (int j = 0; j < Count; ++j) loaded.g[j] = to_float(dy.at[j]);
    if (pool.dy2 == nullptr) return loaded;
    const auto dy2 = load_pack<Count>(pool.dy2 + at);
    for (int j = 0; j < Count; ++j) loaded.g[j] += to_float(dy2.at[j]);
    return loaded;
}

template <class Element, int Count>
__global__ void __launch_bounds__(elementwise_block)
    max_pool_gradient(pool_gradient_parameters<Element> pool) {
    const pool_shape& shape = pool.shape;
    if (item_of_thread() >= shape.threads) return;
    const auto [n, p, q, c] = pool_place(shape, Count);
    window_gradient<Count> windows[2][2];
    for (int down = 0; down < 2; ++down)
        for (int right = 0; right < 2; ++right) {
            const int row = p + down, column = q + right;
            const std::int64_t at =
                ((n * shape.out_height + row) * shape.out_width + column) * shape.stored + c;
            windows[down][right] =
                load_window<Count>(pool, at, row < shape.out_height && column < shape.out_width);
        }
    Element* image = pool.dx + n * shape.height * shape.width * shape.stored + c;
    for (int row = 0; row < 2; ++row)
        for (int column = 0; column < 2; ++column) {
            const int h = stride * p + row, w = stride * q + column;
            pack<Element, Count> dx;
            for (int j = 0; j < Count; ++j) {
                float sum = 0;
                for (int down = 0; down <= row; ++down)
                    for (int right = 0; right <= column; ++right) {
                        const int here =
                            window * (row - stride * down + padding) + column - stride * right + padding;
                        const auto& from = windows[down][right];
                        sum += from.position.at[j] == here ? from.g[j] : 0.0F;
                    }
                dx.at[j] = from_float<Element>(sum);
            }
            if (h < shape.height && w < shape.width)
                store_pack(image + (h * shape.width + w) * shape.stored, dx);
        }
}

} // namespace

std::unique_ptr<operation> prepare(context& cuda, const max_pool_forward& op) {
    return with_element(
        op.x.desc.type, stored_channels(op.x.desc),
        [&]<class Element, int Count>(Element, std::integral_constant<int, Count>) {
            const pool_shape shape(op.x.desc, op.y.desc, Count);
            const auto* saved = elements<const float>(op.saved);
            const bool normalises = op.saved.present();
            const pool_parameters<Element> pool{shape,
                                                elements<const Element>(op.x),
                                                normalises ? saved + 2 * op.x.desc.dims[1] : nullptr,
                                                normalises ? saved + 3 * op.x.desc.dims[1] : nullptr,
                                                elements<Element>(op.y),
                                                elements<std::uint8_t>(op.argmax)};
            const auto kernel = normalises ? max_pool<Element, Count, true> : max_pool<Element, Count, false>;
            return make_operation(
                0, [stream = cuda.stream(), grid = elementwise_grid(shape.threads), kernel,
                    pool](std::byte*) { launch(stream, grid, elementwise_block, kernel, pool); });
        });
}

std::unique_ptr<operation> prepare(context& cuda, const max_pool_backward& op) {
    return with_element(
        op.dx.desc.type, stored_channels(op.dx.desc),
        [&]<class Element, int Count>(Element, std::integral_constant<int, Count>) {
            const pool_shape shape(op.dx.desc, op.dy.desc, Count);
            const pool_gradient_parameters<Element> pool{
                shape, elements<const Element>(op.dy), elements<const Element>(op.dy2),
                elements<const std::uint8_t>(op.argmax), elements<Element>(op.dx)};
            return make_operation(
                0, [stream = cuda.stream(), grid = elementwise_grid(shape.threads), pool](std::byte*) {
                    launch(stream, grid, elementwise_block, max_pool_gradient<Element, Count>, pool);
                });
        });
}

} // namespace petnet::kernels::cuda
