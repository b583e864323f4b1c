// SPDX-License-Identifier: Apache-2.0
// Costs against numbers worked out by hand, and the sums over ResNet-34 that its authors publish.
#include "kernels/cost.hpp"
#include "kernels/problems.hpp"

#include <gtest/gtest.h>

namespace petnet::kernels {
namespace {

tensor_view present(dtype type, const shape& dims) {
    return {.desc = {type, dims}, .data = nullptr, .slot = 1};
}
tensor_view f32(const shape& dims) { return present(dtype::f32, dims); }

void expect_cost(const operation_params& op, double bytes_read, double bytes_written, double flops) {
    const op_cost cost = cost_of(op);
    EXPECT_EQ(cost.bytes_read, bytes_read);
    EXPECT_EQ(cost.bytes_written, bytes_written);
    EXPECT_EQ(cost.flops, flops);
}

TEST(cost_test, convolution) {
    const convolution_shape shape{2, 3, 5, 5,
                                  4, 3, 2, 1}; // y 2x4x3x3; 27 products for each of its 72 elements
    const tensor_view x = f32(shape.x()), w = f32(shape.w()), y = f32(shape.y());
    expect_cost(convolution_forward{shape, x, w, y}, 4 * (150 + 108), 4 * 72, 2 * 72 * 27);
    expect_cost(convolution_backward_data{shape, y, w, x}, 4 * (72 + 108), 4 * 150, 2 * 72 * 27);
    expect_cost(convolution_backward_weights{shape, x, y, w}, 4 * (150 + 72), 4 * 108, 2 * 72 * 27);
    const tensor_view saved = f32({4, 3});
    expect_cost(convolution_forward{shape, x, w, y, saved}, 4 * (150 + 108 + 12), 4 * 72,
                2 * 72 * 27 + 2 * 150);
    expect_cost(convolution_backward_weights{shape, x, y, w, saved}, 4 * (150 + 72 + 12), 4 * 108,
                2 * 72 * 27 + 2 * 150);
}

TEST(cost_test, batch_norm) {
    const tensor_view x = present(dtype::bf16, {2, 3, 4, 5}), c = f32({3}),
                      saved = f32({4, 3}); // 120 elements
    expect_cost(batch_norm_forward{x, c, c, c, c, {}, x, saved, true}, 2 * 120 + 4 * 4 * 3,
                2 * 120 + 2 * 4 * 3 + 4 * 12, (4 + 2) * 120);
    expect_cost(batch_norm_forward{x, c, c, c, c, {}, {}, saved, true}, 2 * 120 + 4 * 4 * 3,
                2 * 4 * 3 + 4 * 12, 4 * 120);
    expect_cost(batch_norm_inference{x, c, c, c, c, x, x, {}, true}, 2 * 2 * 120 + 4 * 4 * 3, 2 * 120,
                3 * 120);
    // Of the running statistics alone.
    expect_cost(batch_norm_inference{x, c, c, c, c, {}, {}, saved, true}, 4 * 4 * 3, 4 * 12, 0);
    expect_cost(batch_norm_backward{x, x, x, {}, c, saved, x, c, c, {}, true}, 3 * 2 * 120 + 4 * 3 + 4 * 12,
                2 * 120 + 2 * 4 * 3, (5 + 1 + 2 + 4) * 120);
}

TEST(cost_test, the_rest) {
    const tensor_view x = f32({2, 3, 4, 4}), pooled = f32({2, 3, 2, 2}); // 96 and 24 elements
    const tensor_view argmax = present(dtype::u8, {2, 3, 2, 2});
    expect_cost(cut_photographs{present(dtype::u8, {5000}), present(dtype::i32, {600}),
                                present(dtype::u64, {2, cut_place_columns}),
                                present(dtype::u8, {2, 4, 4, 3})},
                2 * 5 * 8 + 96, 96, 0);
    expect_cost(photo_to_tensor{present(dtype::u8, {2, 4, 4, 3}), x, {}, {}}, 96, 4 * 96, 3 * 96);
    // 2x3x2x2 elements at 8 points, of 4x4 pixels as they are, then of 5x6 pixels averaged to 4x4
    expect_cost(sampled_photo_to_tensor{present(dtype::u8, {2, 4, 4, 3}), {}, pooled, {}, {}}, 96, 4 * 24,
                11 * 24);
    expect_cost(sampled_photo_to_tensor{present(dtype::u8, {2, 5, 6, 3}), f32({2, 11}), pooled, {}, {}},
                180 + 4 * 22, 4 * 24, 11 * 24 + 14 * 8 + 4 * 24 + 180);
    expect_cost(max_pool_forward{x, f32({4, 3}), pooled, argmax}, 4 * (96 + 12), 4 * 24 + 24, 2 * 96);
    expect_cost(max_pool_backward{pooled, pooled, argmax, x}, 2 * 4 * 24 + 24, 4 * 96, 2 * 24);
    expect_cost(concat_pool_forward{x, f32({2, 6}), present(dtype::i32, {2, 3})}, 4 * 96, 4 * 12 + 4 * 6, 96);
    expect_cost(concat_pool_backward{f32({2, 6}), {}, x}, 4 * 12, 4 * 96, 12);
    const tensor_view in = f32({2, 5}), w = f32({3, 5}), out = f32({2, 3});
    expect_cost(linear_forward{in, w, out}, 4 * (10 + 15), 4 * 6, 2 * 2 * 3 * 5);
    expect_cost(linear_backward{in, w, {}, out, in, w}, 4 * (10 + 15 + 6), 4 * (6 + 10 + 15), 4 * 2 * 3 * 5);
    expect_cost(dropout{in, present(dtype::u64, {2}), in}, 4 * 10 + 8 * 2, 4 * 10, 10);
    expect_cost(
        softmax_cross_entropy{in, present(dtype::i32, {2}), f32({1}), f32({2}), present(dtype::i32, {2}), in},
        4 * 10 + 4 * 2, 4 * (1 + 2 + 2 + 10), 5 * 10);
    const tensor_view p = f32({7});
    expect_cost(adam_step{{{p, p, p, p, 0, true}, {p, p, p, p, 0, false}}, f32({1, 4})}, 4 * (2 * 4 * 7 + 4),
                4 * 2 * 3 * 7, (13 + 12) * 7);
}

TEST(problems_test, resnet34_has_3_6_billion_products_and_21_3_million_weights) {
    double products = 0;
    std::int64_t weights = 0, layers = 0, normalised = 0;
    for (const convolution_problem& problem : resnet34_convolutions) {
        const convolution_shape& shape = problem.shape;
        const convolution_forward op{shape, f32(shape.x()), f32(shape.w()), f32(shape.y())};
        products += cost_of(op).flops / 2 * problem.repeats;
        weights += shape.w().elements() * problem.repeats;
        layers += problem.repeats;
    }
    for (const activation_problem& problem : resnet34_batch_norms) {
        weights += 2 * problem.channels * problem.repeats;
        normalised += problem.repeats;
    }
    EXPECT_EQ(products, 3'663'249'408.0); // 3.6 GMAC
    EXPECT_EQ(weights, 21'284'672);       // torchvision's 21 797 672 less fc's 513 000
    EXPECT_EQ(layers, 36);
    EXPECT_EQ(normalised, layers);
}

// Each output is the input of the next shape.
TEST(problems_test, resnet34_shapes_fit_together) {
    std::int64_t channels = resnet34_max_pool.channels, height = (resnet34_max_pool.height - 1) / 2 + 1;
    EXPECT_EQ(resnet34_convolutions.front().shape.y(), resnet34_max_pool.dims(1));
    for (const convolution_problem& problem : resnet34_convolutions) {
        const convolution_shape& shape = problem.shape;
        if (problem.name == "conv1") continue;
        EXPECT_EQ(shape.in_channels, channels) << problem.name;
        EXPECT_EQ(shape.height, height) << problem.name;
        if (shape.stride == 2 && shape.kernel == 3)
            continue; // its sibling, the downsample, has the same input
        channels = shape.out_channels;
        height = shape.out_height();
    }
    EXPECT_EQ(resnet34_concat_pool.channels, channels);
    EXPECT_EQ(resnet34_concat_pool.height, height);
    EXPECT_EQ(resnet34_linears.front().in, 2 * channels);
    EXPECT_EQ(resnet34_linears.front().out, resnet34_linears.back().in);
}

} // namespace
} // namespace petnet::kernels
