// SPDX-License-Identifier: Apache-2.0
// The loops of Winograd's convolution F(4x4, 3x3) (Lavin, Gray 2016, "Fast Algorithms for Convolutional
// Neural Networks") in f32, each over one tile or one block of a product; winograd.cpp cuts the work and
// hands it to threads. For AVX2 and AVX-512.
//
// Four by four outputs of a 3x3 convolution are
//   Y = A^T [ (G w G^T) * (B^T d B) ] A        d: the 6x6 inputs that they see, *: element by element
// with 36 multiplications in place of 144. Summed over the input channels, each of the 36 elements (`points`)
// is a matrix product of its own. The gradient of w is the adjoint: dw = G^T [ (B^T d B) * (A dY A^T) ] G.
// The matrices are those of the polynomial's values at 0, +-1/sqrt(2), +-sqrt(2) and infinity, which lose
// least of the points that were tried (largest error of 64 channels of noise 1.2e-6 of the largest output;
// +-1, +-2: 5.0e-6).
#pragma once

#include <cstdint>

namespace petnet::kernels::cpu {

inline constexpr std::int64_t winograd_outputs = 4, winograd_points = 36;
// Channels, of which a part of some transforms has to be a multiple: the widest vector.
inline constexpr std::int64_t winograd_vector = 16;
// Columns of a packed matrix of weights, which multiply() makes at once; channels are multiples of it.
inline constexpr std::int64_t winograd_panel = 64;
inline constexpr std::int64_t winograd_rows = 6; // multiply() is best at a multiple

// One image of an activation, channels last.
struct winograd_image {
    std::int64_t height = 0, width = 0, channels = 0;
};

// 36 matrices, one for each point; point p's begins at p * point_stride, its rows lie row_stride apart.
struct winograd_matrices {
    float* data = nullptr;
    std::int64_t point_stride = 0, row_stride = 0;
};

struct winograd_loops {
    // Row `row` of all 36: B^T d B of the inputs whose first is at (top, left); zeros outside of the image.
    void (*transform_input)(const float* x, const winograd_image& image, std::int64_t top, std::int64_t left,
                            const winograd_matrices& to, std::int64_t row);
    // Row `row` of all 36: A dY A^T of the 4x4 outputs whose first is at (top, left); zeros outside.
    void (*transform_gradient)(const float* dy, const winograd_image& image, std::int64_t top,
                               std::int64_t left, const winograd_matrices& to, std::int64_t row);
    // A^T M A of row `row` of all 36, to the outputs whose first is at (top, left), as far as they are in the
    // image: a panel of channels, whose first y points to.
    void (*transform_output)(const winograd_matrices& from, std::int64_t row, float* y,
                             const winograd_image& image, std::int64_t top, std::int64_t left);

    // Rows `begin` to `end` of one panel of columns of all 36, packed as multiply() reads them; a point's are
    // panel * (rows of all) floats. `w` is (3, 3, in, out). Forward: rows are in channels, columns the out
    // channels from `first`.
    void (*transform_weights)(const float* w, std::int64_t in, std::int64_t out, std::int64_t first,
                              std::int64_t begin, std::int64_t end, float* to);
    // The same of the convolution that makes dx of dy: rows are out channels (begin and end multiples of
    // winograd_vector), columns the in channels from `first`, and the 3x3 turned by half.
    void (*transform_turned_weights)(const float* w, std::int64_t in, std::int64_t out, std::int64_t first,
                                     std::int64_t begin, std::int64_t end, float* to);
    // dw (3, 3, in, out) = G^T U G, of the rows `first` to `last` (in channels) of 36 matrices (in, out).
    void (*transform_weights_gradient)(const winograd_matrices& from, std::int64_t in, std::int64_t out,
                                       std::int64_t first, std::int64_t last, float* dw);

    // c (rows, panel) = a (rows, depth) * b (depth, panel); rows of a and c at strides, b packed.
    void (*multiply)(const float* a, std::int64_t a_stride, const float* b, std::int64_t rows,
                     std::int64_t depth, float* c, std::int64_t c_stride);
    // c (rows, columns) = or += a^T b: a (depth, rows), b (depth, columns), each with a stride. Rows are
    // multiples of 8, columns of 32.
    void (*multiply_transposed)(const float* a, std::int64_t a_stride, const float* b, std::int64_t b_stride,
                                std::int64_t rows, std::int64_t columns, std::int64_t depth, float* c,
                                std::int64_t c_stride, bool add);
};

// Null where this processor has neither.
[[nodiscard]] const winograd_loops* best_winograd_loops();

namespace avx2 {
extern const winograd_loops winograd;
} // namespace avx2
namespace avx512 {
extern const winograd_loops winograd;
} // namespace avx512

} // namespace petnet::kernels::cpu
