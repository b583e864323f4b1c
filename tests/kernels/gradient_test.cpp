// SPDX-License-Identifier: Apache-2.0
// Finite differences prove the backward passes of reference-double, which judges all other backends.
#include "tests/support/fill.hpp"
#include "tests/support/gradient_check.hpp"

#include <gtest/gtest.h>

namespace petnet::testing {
namespace {

class gradient_test : public ::testing::Test {
  protected:
    // Distinct values well away from 0 and from each other, so that no step meets a kink.
    tensor_view distinct(std::string_view name, const shape& dims) {
        return tensors_.input(dims, distinct_values(static_cast<std::size_t>(dims.elements()), name));
    }
    tensor_view argmax_of(const shape& pooled) {
        return tensors_.output(backend_->activation(dtype::u8, pooled));
    }

    std::unique_ptr<backend> backend_ = make_backend("reference-double");
    test_tensors tensors_{*backend_, dtype::f32, dtype::f32};
};

TEST_F(gradient_test, convolution) {
    for (const convolution_shape& shape :
         {convolution_shape{2, 3, 5, 4, 2, 3, 1, 1}, convolution_shape{1, 2, 7, 6, 3, 3, 2, 1},
          convolution_shape{2, 2, 6, 6, 2, 3, 2, 1}, convolution_shape{1, 3, 9, 8, 2, 7, 2, 3},
          convolution_shape{2, 3, 5, 4, 5, 1, 2, 0}, convolution_shape{1, 1, 1, 1, 1, 3, 1, 1},
          convolution_shape{1, 2, 8, 5, 2, 2, 3, 0}}) {
        SCOPED_TRACE("x " + shape.x().text() + ", w " + shape.w().text());
        const tensor_view x = tensors_.input("x", shape.x()), w = tensors_.weights("w", shape);
        const tensor_view y = tensors_.output(shape.y()), dy = tensors_.input("dy", shape.y());
        const tensor_view dx = tensors_.output(shape.x()), dw = tensors_.weights_output(shape);
        const convolution_forward forward{shape, x, w, y};
        expect_gradients(tensors_,
                         {forward, convolution_backward_data{shape, dy, w, dx}, {{x, dx}}, {{y, dy}}});
        expect_gradients(tensors_,
                         {forward, convolution_backward_weights{shape, x, dy, dw}, {{w, dw}}, {{y, dy}}});
        const tensor_view saved = tensors_.input("saved", {4, shape.in_channels});
        expect_gradients(tensors_, {convolution_forward{shape, x, w, y, saved},
                                    convolution_backward_weights{shape, x, dy, dw, saved},
                                    {{w, dw}},
                                    {{y, dy}}});
    }
}

struct batch_norm_case {
    shape dims;
    bool relu, residual, second_gradient, keeps_y;
};

TEST_F(gradient_test, batch_norm) {
    for (const batch_norm_case& tested : {batch_norm_case{{2, 3, 3, 2}, false, false, false, false},
                                          batch_norm_case{{2, 3, 3, 2}, true, false, false, false},
                                          batch_norm_case{{2, 3, 3, 2}, true, false, true, true},
                                          batch_norm_case{{2, 3, 3, 2}, true, true, true, true},
                                          batch_norm_case{{2, 3, 3, 2}, false, true, false, false},
                                          batch_norm_case{{5, 4}, false, false, false, false},
                                          batch_norm_case{{5, 4}, true, true, true, true},
                                          batch_norm_case{{1, 2, 1, 3}, true, true, false, true},
                                          batch_norm_case{{3, 2, 1, 1}, false, false, true, false}}) {
        SCOPED_TRACE(tested.dims.text() + (tested.relu ? " relu" : "") +
                     (tested.residual ? " residual" : ""));
        const std::int64_t channels = tested.dims[1];
        const tensor_view x = distinct("x", tested.dims), gamma = tensors_.input("gamma", {channels}, 0.2, 1);
        const tensor_view beta = tensors_.input("beta", {channels}, 0.2), y = tensors_.output(tested.dims);
        const tensor_view mean = tensors_.input("mean", {channels});
        const tensor_view variance = tensors_.input("variance", {channels}, 0.1, 1);
        const tensor_view residual = tested.residual ? distinct("residual", tested.dims) : tensor_view{};
        const tensor_view saved = tensors_.output({4, channels}), dx = tensors_.output(tested.dims);
        const tensor_view dgamma = tensors_.output({channels}), dbeta = tensors_.output({channels});
        const tensor_view dresidual = tested.residual ? tensors_.output(tested.dims) : tensor_view{};
        const tensor_view dy = tensors_.input("dy", tested.dims);
        const tensor_view dy2 = tested.second_gradient ? tensors_.input("dy2", tested.dims) : tensor_view{};
        differentiable problem{
            batch_norm_forward{x, gamma, beta, mean, variance, residual, y, saved, tested.relu},
            batch_norm_backward{dy, dy2, x, tested.keeps_y ? y : tensor_view{}, gamma, saved, dx, dgamma,
                                dbeta, dresidual, tested.relu},
            {{x, dx}, {gamma, dgamma}, {beta, dbeta}},
            {{y, dy}}};
        if (tested.residual) problem.inputs_and_gradients.emplace_back(residual, dresidual);
        if (tested.second_gradient) problem.outputs_and_cotangents.emplace_back(y, dy2); // y is used twice
        expect_gradients(tensors_, problem);
    }
}

TEST_F(gradient_test, max_pool) {
    for (const shape& dims : {shape{2, 2, 5, 6}, shape{1, 3, 7, 4}, shape{2, 1, 1, 2}}) {
        SCOPED_TRACE(dims.text());
        const shape pooled{dims[0], dims[1], (dims[2] - 1) / 2 + 1, (dims[3] - 1) / 2 + 1};
        const tensor_view x = distinct("x", dims), y = tensors_.output(pooled), argmax = argmax_of(pooled);
        const tensor_view dy = tensors_.input("dy", pooled), dy2 = tensors_.input("dy2", pooled);
        const tensor_view dx = tensors_.output(dims);
        expect_gradients(tensors_, {max_pool_forward{x, {}, y, argmax},
                                    max_pool_backward{dy, {}, argmax, dx},
                                    {{x, dx}},
                                    {{y, dy}}});
        expect_gradients(tensors_, {max_pool_forward{x, {}, y, argmax},
                                    max_pool_backward{dy, dy2, argmax, dx},
                                    {{x, dx}},
                                    {{y, dy}, {y, dy2}}});
    }
}

// The gradient of max_pool_forward with `saved` is with respect to a = relu(scale*x + shift): with scale 1
// and shift 3 that is also the one with respect to x, and ReLU cuts nothing.
TEST_F(gradient_test, max_pool_of_batch_norm) {
    const shape dims{2, 2, 5, 6}, pooled{2, 2, 3, 3};
    const tensor_view saved = tensors_.input(shape{4, 2}, std::vector<double>{0, 0, 0, 0, 1, 1, 3, 3});
    const tensor_view x = distinct("x", dims), y = tensors_.output(pooled), argmax = argmax_of(pooled);
    const tensor_view dy = tensors_.input("dy", pooled), dx = tensors_.output(dims);
    expect_gradients(
        tensors_,
        {max_pool_forward{x, saved, y, argmax}, max_pool_backward{dy, {}, argmax, dx}, {{x, dx}}, {{y, dy}}});
}

TEST_F(gradient_test, concat_pool) {
    const shape dims{2, 3, 4, 3}, features{2, 6};
    const tensor_view x = distinct("x", dims), y = tensors_.output(features), dx = tensors_.output(dims);
    const tensor_view argmax = tensors_.output(tensor_desc{dtype::i32, {2, 3}});
    const tensor_view dy = tensors_.input("dy", features);
    expect_gradients(
        tensors_,
        {concat_pool_forward{x, y, argmax}, concat_pool_backward{dy, argmax, dx}, {{x, dx}}, {{y, dy}}});
}

TEST_F(gradient_test, linear) {
    for (const bool relu : {false, true}) {
        const tensor_view x = tensors_.input("x", {3, 5}), w = tensors_.input("w", {4, 5});
        const tensor_view y = tensors_.output({3, 4}), dy = tensors_.input("dy", {3, 4});
        const tensor_view dx = tensors_.output({3, 5}), dw = tensors_.output({4, 5});
        expect_gradients(tensors_, {linear_forward{x, w, y, relu},
                                    linear_backward{x, w, y, dy, dx, dw, relu},
                                    {{x, dx}, {w, dw}},
                                    {{y, dy}}});
    }
}

TEST_F(gradient_test, dropout) {
    const tensor_view row_keys = tensors_.integers(dtype::u64, {3}, std::vector<std::uint64_t>{1, 2, 3});
    const tensor_view x = tensors_.input("x", {3, 8}), y = tensors_.output({3, 8});
    const tensor_view dy = tensors_.input("dy", {3, 8}), dx = tensors_.output({3, 8});
    expect_gradients(
        tensors_,
        {dropout{x, row_keys, y, 0.25, 7}, dropout{dy, row_keys, dx, 0.25, 7}, {{x, dx}}, {{y, dy}}});
}

TEST_F(gradient_test, softmax_cross_entropy) {
    const tensor_view logits = tensors_.input("logits", {4, 5}, 2), dlogits = tensors_.output({4, 5});
    const tensor_view target = tensors_.integers(dtype::i32, {4}, std::vector<std::int32_t>{0, 4, 2, 2});
    const tensor_view loss = tensors_.output({1}), one = tensors_.input(shape{1}, std::vector<double>{1});
    const softmax_cross_entropy op{
        logits, target, loss, tensors_.output({4}), tensors_.output(tensor_desc{dtype::i32, {4}}), dlogits};
    expect_gradients(tensors_, {op, op, {{logits, dlogits}}, {{loss, one}}});
}

} // namespace
} // namespace petnet::testing
