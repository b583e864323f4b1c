// SPDX-License-Identifier: Apache-2.0
// Convolution as matrix products over an unrolled image: row m of `columns` holds the x values that output
// pixel m sees, in (row, column, channel) order, 0 where they lie in the padding. With W (K x RSC):
//   y = columns * W^T      dcolumns = dy * W, rolled up into dx      dW = sum of dy^T * columns
// Images are taken in groups, so that small ones at the end of the network share the reading of the weights.
#include "kernels/reference/operations.hpp"
#include "kernels/reference/storage.hpp"

#include <algorithm>

namespace petnet::kernels::reference {
namespace {

// Element (i, j) is data[i*row + j*column].
struct matrix {
    const double* data;
    std::int64_t row, column;
};

constexpr int tile = 4; // 4x4 sums of doubles stay in the 16 registers of the oldest x86-64

// c[i][j] += sum over l of a(i, l) * panel[l][j], for Rows rows and `columns` <= tile columns.
template <std::size_t Rows>
void multiply_tile(const matrix& a, const double* panel, std::int64_t length, double* c, std::int64_t c_row,
                   std::int64_t columns) {
    double sum[Rows][tile] = {};
    for (std::int64_t l = 0; l < length; ++l)
        for (int i = 0; i < static_cast<int>(Rows); ++i) {
            const double factor = a.data[i * a.row + l * a.column];
            for (int j = 0; j < tile; ++j) sum[i][j] += factor * panel[l * tile + j];
        }
    for (int i = 0; i < static_cast<int>(Rows); ++i)
        for (int j = 0; j < columns; ++j) c[i * c_row + j] += sum[i][j];
}

// C (rows x columns, row-major) += A (rows x length) * B (length x columns). `panel` holds length*tile
// doubles.
void multiply_add(std::int64_t rows, std::int64_t columns, std::int64_t length, const matrix& a,
                  const matrix& b, double* c, double* panel) {
    for (std::int64_t j = 0; j < columns; j += tile) {
        const std::int64_t wide = std::min<std::int64_t>(tile, columns - j);
        for (std::int64_t l = 0; l < length; ++l)
            for (std::int64_t t = 0; t < tile; ++t)
                panel[l * tile + t] = t < wide ? b.data[l * b.row + (j + t) * b.column] : 0;
        for (std::int64_t i = 0; i < rows; i += tile) {
            const matrix below{a.data + i * a.row, a.row, a.column};
            double* corner = c + i * columns + j;
            switch (std::min<std::int64_t>(tile, rows - i)) {
            case 1:
                multiply_tile<1>(below, panel, length, corner, columns, wide);
                break;
            case 2:
                multiply_tile<2>(below, panel, length, corner, columns, wide);
                break;
            case 3:
                multiply_tile<3>(below, panel, length, corner, columns, wide);
                break;
            default:
                multiply_tile<tile>(below, panel, length, corner, columns, wide);
                break;
            }
        }
    }
}

// The sizes of the three matrices and the scratch memory that holds them.
struct unrolled {
    explicit unrolled(const convolution_shape& s)
        : shape(s),
          pixels(s.out_height() * s.out_width()),
          patch(s.kernel * s.kernel * s.in_channels),
          group(std::clamp<std::int64_t>(512 / pixels, 1, s.batch)) {}

    [[nodiscard]] std::int64_t columns_size() const { return group * pixels * patch; }
    [[nodiscard]] std::int64_t y_size() const { return group * pixels * shape.out_channels; }
    [[nodiscard]] std::int64_t weights_size() const { return shape.out_channels * patch; }
    [[nodiscard]] std::int64_t x_image() const { return shape.height * shape.width * shape.in_channels; }
    [[nodiscard]] std::int64_t panel_size() const {
        return tile * std::max({patch, shape.out_channels, group * pixels});
    }
    [[nodiscard]] std::int64_t scratch() const {
        return columns_size() + y_size() + weights_size() + group * x_image() + panel_size();
    }

    // visit(first image, number of images) for each group.
    template <class Visit> void for_each_group(const Visit& visit) const {
        for (std::int64_t n = 0; n < shape.batch; n += group) visit(n, std::min(group, shape.batch - n));
    }
    // visit(place in columns, place in x) for each run of channels that does not lie in the padding.
    template <class Visit> void for_each_run(std::int64_t images, const Visit& visit) const {
        const convolution_shape& s = shape;
        std::int64_t column = 0;
        for (std::int64_t n = 0; n < images; ++n)
            for (std::int64_t p = 0; p < s.out_height(); ++p)
                for (std::int64_t q = 0; q < s.out_width(); ++q)
                    for (std::int64_t r = 0; r < s.kernel; ++r)
                        for (std::int64_t c = 0; c < s.kernel; ++c, column += s.in_channels) {
                            const std::int64_t h = p * s.stride + r - s.padding,
                                               w = q * s.stride + c - s.padding;
                            if (h >= 0 && h < s.height && w >= 0 && w < s.width)
                                visit(column, ((n * s.height + h) * s.width + w) * s.in_channels);
                        }
    }

    convolution_shape shape;
    std::int64_t pixels, patch, group;
};

struct scratch_memory {
    scratch_memory(const unrolled& u, double* memory)
        : columns(memory),
          y(columns + u.columns_size()),
          w(y + u.y_size()),
          x(w + u.weights_size()),
          panel(x + u.group * u.x_image()) {}
    double *columns, *y, *w, *x, *panel;
};

template <class Element> void load_all(const Element* from, std::int64_t count, double* to) {
    for (std::int64_t i = 0; i < count; ++i) to[i] = load(from[i]);
}

template <class Element> void store_all(const double* from, std::int64_t count, Element* to) {
    for (std::int64_t i = 0; i < count; ++i) store(to[i], from[i]);
}

// The master weights, rounded to the element type of the activations.
template <class T, class Element> void load_weights(const tensor_view& w, std::int64_t count, double* to) {
    const auto* master = elements<const T>(w);
    for (std::int64_t i = 0; i < count; ++i) {
        Element rounded{};
        store(rounded, load(master[i]));
        to[i] = load(rounded);
    }
}

// What is convolved of images from `first` on: op.x, or its batch norm and ReLU, rounded as x is.
template <class T, class Element, class Op>
void unroll(const unrolled& u, const Op& op, std::int64_t first, std::int64_t images, double* columns) {
    const auto* x = elements<const Element>(op.x) + first * u.x_image();
    const std::int64_t channels = u.shape.in_channels;
    std::fill_n(columns, images * u.pixels * u.patch, 0.0);
    u.for_each_run(images, [&](std::int64_t column, std::int64_t at) {
        load_all(x + at, channels, columns + column);
        if (!op.saved.present()) return;
        const auto* scale = elements<const T>(op.saved) + 2 * channels;
        for (std::int64_t c = 0; c < channels; ++c) {
            double& value = columns[column + c];
            Element rounded{};
            store(rounded, relu(load(scale[c]) * value + load(scale[channels + c])));
            value = load(rounded);
        }
    });
}

template <class T, class Element> void run(const convolution_forward& op, const unrolled& u, double* memory) {
    const scratch_memory scratch(u, memory);
    const std::int64_t out = u.shape.out_channels;
    load_weights<T, Element>(op.w, u.weights_size(), scratch.w);
    u.for_each_group([&](std::int64_t first, std::int64_t images) {
        const std::int64_t rows = images * u.pixels;
        unroll<T, Element>(u, op, first, images, scratch.columns);
        std::fill_n(scratch.y, rows * out, 0.0);
        multiply_add(rows, out, u.patch, {scratch.columns, u.patch, 1}, {scratch.w, 1, u.patch}, scratch.y,
                     scratch.panel);
        store_all(scratch.y, rows * out, elements<Element>(op.y) + first * u.pixels * out);
    });
}

template <class T, class Element>
void run(const convolution_backward_data& op, const unrolled& u, double* memory) {
    const scratch_memory scratch(u, memory);
    const std::int64_t out = u.shape.out_channels, channels = u.shape.in_channels;
    load_weights<T, Element>(op.w, u.weights_size(), scratch.w);
    u.for_each_group([&](std::int64_t first, std::int64_t images) {
        const std::int64_t rows = images * u.pixels;
        load_all(elements<const Element>(op.dy) + first * u.pixels * out, rows * out, scratch.y);
        std::fill_n(scratch.columns, rows * u.patch, 0.0);
        multiply_add(rows, u.patch, out, {scratch.y, out, 1}, {scratch.w, u.patch, 1}, scratch.columns,
                     scratch.panel);
        std::fill_n(scratch.x, images * u.x_image(), 0.0);
        u.for_each_run(images, [&](std::int64_t column, std::int64_t at) {
            for (std::int64_t c = 0; c < channels; ++c) scratch.x[at + c] += scratch.columns[column + c];
        });
        store_all(scratch.x, images * u.x_image(), elements<Element>(op.dx) + first * u.x_image());
    });
}

template <class T, class Element>
void run(const convolution_backward_weights& op, const unrolled& u, double* memory) {
    const scratch_memory scratch(u, memory);
    const std::int64_t out = u.shape.out_channels;
    std::fill_n(scratch.w, u.weights_size(), 0.0);
    u.for_each_group([&](std::int64_t first, std::int64_t images) {
        const std::int64_t rows = images * u.pixels;
        load_all(elements<const Element>(op.dy) + first * u.pixels * out, rows * out, scratch.y);
        unroll<T, Element>(u, op, first, images, scratch.columns);
        multiply_add(out, u.patch, rows, {scratch.y, 1, out}, {scratch.columns, u.patch, 1}, scratch.w,
                     scratch.panel);
    });
    store_all(scratch.w, u.weights_size(), elements<T>(op.dw));
}

template <class T, class Op> std::unique_ptr<operation> prepare_convolution(const Op& op, dtype activations) {
    return with_element<T>(activations, [&]<class Element>(Element) {
        const unrolled u(op.shape);
        return make_loops(u.scratch(), [op, u](double* memory) { run<T, Element>(op, u, memory); });
    });
}

} // namespace

template <class T> std::unique_ptr<operation> prepare(const convolution_forward& op) {
    return prepare_convolution<T>(op, op.x.desc.type);
}

template <class T> std::unique_ptr<operation> prepare(const convolution_backward_data& op) {
    return prepare_convolution<T>(op, op.dx.desc.type);
}

template <class T> std::unique_ptr<operation> prepare(const convolution_backward_weights& op) {
    return prepare_convolution<T>(op, op.x.desc.type);
}

template std::unique_ptr<operation> prepare<float>(const convolution_forward&);
template std::unique_ptr<operation> prepare<double>(const convolution_forward&);
template std::unique_ptr<operation> prepare<float>(const convolution_backward_data&);
template std::unique_ptr<operation> prepare<double>(const convolution_backward_data&);
template std::unique_ptr<operation> prepare<float>(const convolution_backward_weights&);
template std::unique_ptr<operation> prepare<double>(const convolution_backward_weights&);

} // namespace petnet::kernels::reference
