// SPDX-License-Identifier: Apache-2.0
// Compiled for AVX2 and for AVX-512, which the build names in PETNET_ISA. Nothing from the standard library
// is used, as in loops.cpp.
#include "kernels/cpu/winograd_loops.hpp"

#include "kernels/cpu/vectors.hpp"

#include <cstddef>

namespace petnet::kernels::cpu::PETNET_ISA {
namespace {

using index = std::int64_t;
using size = std::size_t;

#ifdef __AVX512F__
// Of the 32 registers: 24 sums, a vector of the right matrix for each of 4, and a broadcast element of the
// left.
constexpr index block_vectors = 4, gradient_rows = 8;
#else
// Of the 16 registers: 12 sums (gradient: 8), 2 vectors of the right matrix, an element of the left.
constexpr index block_vectors = 2, gradient_rows = 4;
#endif
constexpr index block_rows = winograd_rows, gradient_vectors = 2;

constexpr index width = vec_width, panel_vectors = winograd_panel / width;
// A panel of weights is packed in strips of as many columns as multiply() sums at once, one behind the other.
constexpr index strip = block_vectors * width;

// Of vector v of row `row`, from the panel's beginning; `rows` of them.
constexpr index packed(index rows, index row, index v) {
    return v / block_vectors * rows * strip + row * strip + v % block_vectors * width;
}

inline vec load(const float* from) { return load_as<vec>(from); }
inline void store(float* to, vec value) { store_as(to, value); }

// The points are 0, +-a, +-b and infinity; a^2 = 1/2, b^2 = 2.
constexpr float a = 0.70710678F, b = 1.41421356F, a2 = 0.5F, b2 = 2.0F, squares = a2 + b2;
constexpr float scale_a = 1 / (2 * a2 * (a2 - b2)), scale_b = 1 / (2 * b2 * (b2 - a2)); // 1 / N of G

// B^T: the coefficients of the product of (x - p) over all points but the row's own.
inline void input_1d(const vec (&d)[6], vec (&v)[6]) {
    v[0] = d[0] - squares * d[2] + d[4];
    const vec even_a = d[4] - b2 * d[2], odd_a = d[3] - b2 * d[1];
    v[1] = even_a + a * odd_a;
    v[2] = even_a - a * odd_a;
    const vec even_b = d[4] - a2 * d[2], odd_b = d[3] - a2 * d[1];
    v[3] = even_b + b * odd_b;
    v[4] = even_b - b * odd_b;
    v[5] = d[1] - squares * d[3] + d[5];
}

// A: the values of a polynomial of degree 3.
inline void gradient_1d(const vec (&y)[4], vec (&m)[6]) {
    m[0] = y[0];
    const vec even_a = y[0] + a2 * y[2], odd_a = y[1] + a2 * y[3];
    m[1] = even_a + a * odd_a;
    m[2] = even_a - a * odd_a;
    const vec even_b = y[0] + b2 * y[2], odd_b = y[1] + b2 * y[3];
    m[3] = even_b + b * odd_b;
    m[4] = even_b - b * odd_b;
    m[5] = y[3];
}

// A^T
inline void output_1d(const vec (&m)[6], vec (&y)[4]) {
    const vec sum_a = m[1] + m[2], difference_a = m[1] - m[2];
    const vec sum_b = m[3] + m[4], difference_b = m[3] - m[4];
    y[0] = m[0] + sum_a + sum_b;
    y[1] = a * difference_a + b * difference_b;
    y[2] = a2 * sum_a + b2 * sum_b;
    y[3] = (a * a2) * difference_a + (b * b2) * difference_b + m[5];
}

// G: the values of a polynomial of degree 2, each over the product of the distances to the other points.
inline void weights_1d(const vec (&w)[3], vec (&u)[6]) {
    u[0] = w[0]; // over (a b)^2 = 1
    const vec even_a = scale_a * (w[0] + a2 * w[2]), odd_a = (scale_a * a) * w[1];
    u[1] = even_a + odd_a;
    u[2] = even_a - odd_a;
    const vec even_b = scale_b * (w[0] + b2 * w[2]), odd_b = (scale_b * b) * w[1];
    u[3] = even_b + odd_b;
    u[4] = even_b - odd_b;
    u[5] = w[2];
}

// G^T
inline void weights_gradient_1d(const vec (&u)[6], vec (&w)[3]) {
    const vec sum_a = scale_a * (u[1] + u[2]), difference_a = (scale_a * a) * (u[1] - u[2]);
    const vec sum_b = scale_b * (u[3] + u[4]), difference_b = (scale_b * b) * (u[3] - u[4]);
    w[0] = u[0] + sum_a + sum_b;
    w[1] = difference_a + difference_b;
    w[2] = a2 * sum_a + b2 * sum_b + u[5];
}

// `to` = T from T^T: the transform along the columns, then along the rows.
template <auto one_dimension, size from_size, size to_size>
inline void transform_2d(const vec (&from)[from_size][from_size], vec (&to)[to_size][to_size]) {
    vec between[from_size][to_size];
#pragma GCC unroll 6
    for (size j = 0; j < from_size; ++j) {
        vec column[from_size];
#pragma GCC unroll 6
        for (size i = 0; i < from_size; ++i) column[i] = from[i][j];
        one_dimension(column, between[j]);
    }
#pragma GCC unroll 6
    for (size i = 0; i < to_size; ++i) {
        vec row[from_size];
#pragma GCC unroll 6
        for (size j = 0; j < from_size; ++j) row[j] = between[j][i];
        one_dimension(row, to[i]);
    }
}

// Rows or columns begin to end of a tile of `count` are inside of an image of `extent`.
struct inside {
    index begin, end;
    inside(index first, index count, index extent)
        : begin(first < 0 ? -first : 0), end(first + count > extent ? extent - first : count) {}
    [[nodiscard]] bool all(index count) const { return begin == 0 && end == count; }
};

// Calls body(vector, tile) for each vector of channels of a tile of an image.
template <size extent, typename Body>
inline void for_each_vector(const float* x, const winograd_image& image, index top, index left,
                            const Body& body) {
    const inside rows(top, extent, image.height), columns(left, extent, image.width);
    const index row_stride = image.width * image.channels;
    const float* first = x + top * row_stride + left * image.channels; // may lie before the image
    vec tile[extent][extent];
    if (rows.all(extent) && columns.all(extent)) {
        for (index v = 0; v < image.channels / width; ++v, first += width) {
#pragma GCC unroll 6
            for (index i = 0; i < index{extent}; ++i)
#pragma GCC unroll 6
                for (index j = 0; j < index{extent}; ++j)
                    tile[i][j] = load(first + i * row_stride + j * image.channels);
            body(v, tile);
        }
        return;
    }
    for (auto& row : tile)
        for (vec& value : row) value = vec{};
    for (index v = 0; v < image.channels / width; ++v, first += width) {
        for (index i = rows.begin; i < rows.end; ++i)
            for (index j = columns.begin; j < columns.end; ++j)
                tile[i][j] = load(first + i * row_stride + j * image.channels);
        body(v, tile);
    }
}

inline void store_points(const vec (&values)[6][6], float* to, index point_stride) {
#pragma GCC unroll 6
    for (int i = 0; i < 6; ++i)
#pragma GCC unroll 6
        for (int j = 0; j < 6; ++j) store(to + (i * 6 + j) * point_stride, values[i][j]);
}

inline void load_points(const float* from, index point_stride, vec (&values)[6][6]) {
#pragma GCC unroll 6
    for (int i = 0; i < 6; ++i)
#pragma GCC unroll 6
        for (int j = 0; j < 6; ++j) values[i][j] = load(from + (i * 6 + j) * point_stride);
}

void transform_input(const float* x, const winograd_image& image, index top, index left,
                     const winograd_matrices& to, index row) {
    float* const at = to.data + row * to.row_stride;
    for_each_vector<6>(x, image, top, left, [&](index v, const vec(&tile)[6][6]) {
        vec values[6][6];
        transform_2d<input_1d>(tile, values);
        store_points(values, at + v * width, to.point_stride);
    });
}

void transform_gradient(const float* dy, const winograd_image& image, index top, index left,
                        const winograd_matrices& to, index row) {
    float* const at = to.data + row * to.row_stride;
    for_each_vector<4>(dy, image, top, left, [&](index v, const vec(&tile)[4][4]) {
        vec values[6][6];
        transform_2d<gradient_1d>(tile, values);
        store_points(values, at + v * width, to.point_stride);
    });
}

void transform_output(const winograd_matrices& from, index row, float* y, const winograd_image& image,
                      index top, index left) {
    const inside rows(top, 4, image.height), columns(left, 4, image.width);
    const index row_stride = image.width * image.channels;
    float* first = y + top * row_stride + left * image.channels;
    for (index v = 0; v < panel_vectors; ++v, first += width) {
        vec values[6][6], tile[4][4];
        load_points(from.data + row * from.row_stride + v * width, from.point_stride, values);
        transform_2d<output_1d>(values, tile);
        if (rows.all(4) && columns.all(4)) {
#pragma GCC unroll 4
            for (int i = 0; i < 4; ++i)
#pragma GCC unroll 4
                for (int j = 0; j < 4; ++j) store(first + i * row_stride + j * image.channels, tile[i][j]);
        } else {
            for (index i = 0; i < rows.end; ++i)
                for (index j = 0; j < columns.end; ++j)
                    store(first + i * row_stride + j * image.channels, tile[i][j]);
        }
    }
}

void transform_weights(const float* w, index in, index out, index first, index begin, index end, float* to) {
    for (index c = begin; c < end; ++c)
        for (index v = 0; v < panel_vectors; ++v) {
            vec taps[3][3], values[6][6];
            for (int r = 0; r < 3; ++r)
                for (int s = 0; s < 3; ++s)
                    taps[r][s] = load(w + ((r * 3 + s) * in + c) * out + first + v * width);
            transform_2d<weights_1d>(taps, values);
            store_points(values, to + packed(in, c, v), in * winograd_panel);
        }
}

void transform_turned_weights(const float* w, index in, index out, index first, index begin, index end,
                              float* to) {
    for (index v = 0; v < panel_vectors; ++v)
        for (index k = begin; k < end; k += width) {
            float turned[3][3][width][width]; // out channel, in channel
            for (int r = 0; r < 3; ++r)
                for (int s = 0; s < 3; ++s)
                    for (index c = 0; c < width; ++c) {
                        const float* from = w + ((r * 3 + s) * in + first + v * width + c) * out + k;
                        for (index lane = 0; lane < width; ++lane) turned[2 - r][2 - s][lane][c] = from[lane];
                    }
            for (index lane = 0; lane < width; ++lane) {
                vec taps[3][3], values[6][6];
                for (int r = 0; r < 3; ++r)
                    for (int s = 0; s < 3; ++s) taps[r][s] = load(turned[r][s][lane]);
                transform_2d<weights_1d>(taps, values);
                store_points(values, to + packed(out, k + lane, v), out * winograd_panel);
            }
        }
}

void transform_weights_gradient(const winograd_matrices& from, index in, index out, index first, index last,
                                float* dw) {
    for (index c = first; c < last; ++c)
        for (index k = 0; k < out; k += width) {
            vec values[6][6], taps[3][3];
            load_points(from.data + c * from.row_stride + k, from.point_stride, values);
            transform_2d<weights_gradient_1d>(values, taps);
            for (int r = 0; r < 3; ++r)
                for (int s = 0; s < 3; ++s) store(dw + ((r * 3 + s) * in + c) * out + k, taps[r][s]);
        }
}

// The sums of `rows` rows and `vectors` vectors of columns stay in registers over the whole depth.
template <size rows, size vectors> struct register_block {
    vec sums[rows][vectors];

    inline void clear() {
#pragma GCC unroll 8
        for (index r = 0; r < index{rows}; ++r)
#pragma GCC unroll 4
            for (index v = 0; v < index{vectors}; ++v) sums[r][v] = vec{};
    }
    inline void load_from(const float* c, index c_stride) {
#pragma GCC unroll 8
        for (index r = 0; r < index{rows}; ++r)
#pragma GCC unroll 4
            for (index v = 0; v < index{vectors}; ++v) sums[r][v] = load(c + r * c_stride + v * width);
    }
    inline void store_to(float* c, index c_stride) const {
#pragma GCC unroll 8
        for (index r = 0; r < index{rows}; ++r)
#pragma GCC unroll 4
            for (index v = 0; v < index{vectors}; ++v) store(c + r * c_stride + v * width, sums[r][v]);
    }
    // Row r's factor is at left[r * left_stride].
    inline void add(const float* left, index left_stride, const float* right) {
        vec columns[vectors];
#pragma GCC unroll 4
        for (index v = 0; v < index{vectors}; ++v) columns[v] = load(right + v * width);
#pragma GCC unroll 8
        for (index r = 0; r < index{rows}; ++r) {
            const float factor = left[r * left_stride];
#pragma GCC unroll 4
            for (index v = 0; v < index{vectors}; ++v) sums[r][v] += factor * columns[v];
        }
    }
};

template <size rows>
void multiply_rows(const float* left, index left_stride, const float* right, index depth, float* c,
                   index c_stride) {
    register_block<rows, block_vectors> block;
    block.clear();
    for (index k = 0; k < depth; ++k) block.add(left + k, left_stride, right + k * strip);
    block.store_to(c, c_stride);
}

void multiply(const float* left, index left_stride, const float* right, index rows, index depth, float* c,
              index c_stride) {
    using function = void (*)(const float*, index, const float*, index, float*, index);
    constexpr function rest[block_rows] = {nullptr,          multiply_rows<1>, multiply_rows<2>,
                                           multiply_rows<3>, multiply_rows<4>, multiply_rows<5>};
    for (index column = 0; column < winograd_panel; column += strip, right += depth * strip, c += strip) {
        index row = 0;
        for (; row + block_rows <= rows; row += block_rows)
            multiply_rows<block_rows>(left + row * left_stride, left_stride, right, depth, c + row * c_stride,
                                      c_stride);
        if (row < rows)
            rest[rows - row](left + row * left_stride, left_stride, right, depth, c + row * c_stride,
                             c_stride);
    }
}

void multiply_transposed(const float* left, index left_stride, const float* right, index right_stride,
                         index rows, index columns, index depth, float* c, index c_stride, bool add) {
    constexpr index step = gradient_vectors * width;
    for (index row = 0; row < rows; row += gradient_rows)
        for (index column = 0; column < columns; column += step) {
            register_block<gradient_rows, gradient_vectors> block;
            float* const at = c + row * c_stride + column;
            if (add)
                block.load_from(at, c_stride);
            else
                block.clear();
            for (index k = 0; k < depth; ++k)
                block.add(left + k * left_stride + row, 1, right + k * right_stride + column);
            block.store_to(at, c_stride);
        }
}

} // namespace

const winograd_loops winograd{transform_input,   transform_gradient,       transform_output,
                              transform_weights, transform_turned_weights, transform_weights_gradient,
                              multiply,          multiply_transposed};

} // namespace petnet::kernels::cpu::PETNET_ISA
