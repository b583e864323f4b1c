// SPDX-License-Identifier: Apache-2.0
// What check_contract and the walk over operands make of good and broken operations.
#include "tests/kernels/backends.hpp"
#include "tests/support/test_tensors.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <stdexcept>

namespace petnet::testing {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::ThrowsMessage;

class contract_test : public ::testing::TestWithParam<std::string> {
  protected:
    void expect_refused(const operation_params& op, const std::string& reason) {
        EXPECT_THAT([&] { static_cast<void>(tensors_.prepare(op)); },
                    ThrowsMessage<std::logic_error>(HasSubstr(reason)));
    }
    tensor_view out(const shape& dims) { return tensors_.output(dims); }

    std::unique_ptr<backend> backend_ = make_backend(GetParam());
    test_tensors tensors_{*backend_, dtype::f32, dtype::f32};
};

TEST_P(contract_test, convolution) {
    const convolution_shape shape{1, 8, 5, 5, 8, 3, 1, 1};
    const convolution_forward good{shape, out(shape.x()), tensors_.weights_output(shape), out(shape.y())};
    EXPECT_NO_THROW(static_cast<void>(tensors_.prepare(good)));
    convolution_forward bad = good;
    bad.y = out({1, 8, 5, 4});
    expect_refused(bad, "convolution_forward: y must be f32 1x8x5x5; got f32 1x8x5x4");
    bad = good;
    bad.w = {};
    expect_refused(bad, "w must be there");
    bad = good;
    bad.shape.stride = 0;
    expect_refused(bad, "stride must be positive; got 0");
    bad = good;
    bad.shape.kernel = 9;
    expect_refused(bad, "must fit");
    bad = good;
    bad.y = bad.x;
    expect_refused(bad, "must not share memory");
    bad = good;
    bad.saved = out({4, 7});
    expect_refused(bad, "convolution_forward: saved must be f32 4x8; got f32 4x7");
    expect_refused(convolution_backward_weights{shape, good.x, good.y, good.w, out({3, 8})},
                   "convolution_backward_weights: saved must be f32 4x8; got f32 3x8");
}

TEST_P(contract_test, batch_norm) {
    const shape dims{2, 8, 3, 3};
    const auto c = [&] { return out({8}); };
    const batch_norm_forward good{out(dims), c(), c(), c(), c(), {}, out(dims), out({4, 8}), true};
    EXPECT_NO_THROW(static_cast<void>(tensors_.prepare(good)));
    batch_norm_forward bad = good;
    bad.gamma = out({7});
    expect_refused(bad, "gamma must be f32 8; got f32 7");
    bad = good;
    bad.running_mean = bad.running_variance;
    expect_refused(bad, "must not share memory");
    bad = good;
    bad.x = out({1, 8});
    bad.y = {};
    expect_refused(bad, "more than one element");
    expect_refused(
        batch_norm_inference{good.x, good.gamma, good.beta, good.running_mean, good.running_variance},
        "y or saved");

    batch_norm_backward backward{good.y,    {},  good.x, {},        good.gamma, good.saved,
                                 out(dims), c(), c(),    out(dims), true};
    expect_refused(backward, "y must be there where relu follows a residual");
    backward.y = out(dims);
    EXPECT_NO_THROW(static_cast<void>(tensors_.prepare(backward)));
    backward.dx = backward.dy;
    expect_refused(backward, "must not share memory");
    backward.dx = backward.dresidual;
    expect_refused(backward, "must not share memory");
    backward.dx = out(dims);
    backward.dresidual = backward.dy;
    EXPECT_NO_THROW(static_cast<void>(tensors_.prepare(backward)));
    backward.dx = backward.dy;
    backward.dresidual = {};
    EXPECT_NO_THROW(static_cast<void>(tensors_.prepare(backward)));
}

TEST_P(contract_test, cut_photographs) {
    const auto of = [&](dtype type, const shape& dims) { return tensors_.output(tensor_desc{type, dims}); };
    const cut_photographs good{of(dtype::u8, {500}), of(dtype::i32, {40}), of(dtype::u64, {2, 5}),
                               of(dtype::u8, {2, 4, 4, 3})};
    EXPECT_NO_THROW(static_cast<void>(tensors_.prepare(good)));
    cut_photographs bad = good;
    bad.places = of(dtype::u64, {2, 4});
    expect_refused(bad, "cut_photographs: places must be u64 2x5; got u64 2x4");
    bad = good;
    bad.pixels = of(dtype::u8, {2, 4, 5, 3});
    expect_refused(bad, "pixels must be squares of 3 channels, last; got 2x4x5x3");
    bad = good;
    bad.tables = of(dtype::u64, {40});
    expect_refused(bad, "tables must be i32 40");
    bad = good;
    bad.store = {};
    expect_refused(bad, "store must be there");
}

TEST_P(contract_test, the_rest) {
    expect_refused(
        photo_to_tensor{tensors_.output(tensor_desc{dtype::u8, {1, 2, 2, 4}}), out({1, 3, 2, 2}), {}, {}},
        "3 channels");
    const tensor_view photo = tensors_.output(tensor_desc{dtype::u8, {1, 5, 5, 3}}),
                      sampled = out({1, 3, 2, 2});
    expect_refused(sampled_photo_to_tensor{photo, {}, out({1, 4, 2, 2}), {1, 1, 1}, {1, 1, 1}},
                   "y must be f32 1x3x2x2");
    expect_refused(sampled_photo_to_tensor{photo, out({1, 9}), sampled, {1, 1, 1}, {1, 1, 1}},
                   "transforms must be f32 1x11");
    expect_refused(sampled_photo_to_tensor{photo, {}, sampled, {1, 1, 1}, {1, 0, 1}}, "deviation");
    expect_refused(
        sampled_photo_to_tensor{
            tensors_.output(tensor_desc{dtype::u8, {1, 1, 1 << 15, 3}}), {}, sampled, {1, 1, 1}, {1, 1, 1}},
        "below 2^15 pixels");
    expect_refused(max_pool_forward{out({1, 8, 4, 4}), {}, out({1, 8, 4, 4}), {}}, "y must be f32 1x8x2x2");
    expect_refused(max_pool_backward{out({1, 8, 2, 2}), {}, {}, out({1, 8, 4, 4})}, "argmax must be there");
    expect_refused(concat_pool_forward{out({1, 8, 2, 2}), out({1, 8}), {}}, "y must be f32 1x16");
    expect_refused(concat_pool_backward{out({1, 8}), {}, out({1, 8, 2, 2})}, "dy must be f32 1x16");
    expect_refused(linear_forward{out({2, 3}), out({4, 5}), out({2, 4})}, "w must be f32 4x3");
    expect_refused(linear_backward{out({2, 3}), out({4, 3}), {}, out({2, 4}), out({2, 3}), out({4, 3}), true},
                   "y must be there with relu");
    expect_refused(dropout{out({2, 3}), tensors_.output(tensor_desc{dtype::u64, {2}}), out({2, 3}), 1.0, 0},
                   "probability");
    expect_refused(softmax_cross_entropy{out({2, 3}), out({2}), out({1}), out({2}), {}, {}, {}},
                   "target must be i32 2");
    const adam_parameter parameter{out({3}), out({3}), out({3}), out({4}), 0, true};
    expect_refused(adam_step{{parameter}, out({1, adam_settings_columns}), {}}, "v must be f32 3");
    const adam_parameter elsewhere{out({3}), out({3}), out({3}), out({3}), 1, true};
    expect_refused(adam_step{{elsewhere}, out({1, adam_settings_columns}), {}},
                   "settings_row must be in [0, 1); got 1");
}

INSTANTIATE_TEST_SUITE_P(every_backend, contract_test, ::testing::ValuesIn(available_backends()),
                         [](const auto& tested) { return test_name(tested.param); });

TEST(operands_test, come_in_the_order_of_declaration_and_can_be_placed) {
    operation_params op = adam_step{};
    auto& step = std::get<adam_step>(op);
    step.parameters.resize(2);
    for (adam_parameter& parameter : step.parameters)
        parameter.p.slot = parameter.g.slot = parameter.m.slot = parameter.v.slot = 1;
    step.settings.slot = 2;
    std::vector<std::string> names;
    std::byte place{};
    for_each_operand(op, [&](std::string_view name, tensor_view& view, access kind) {
        names.emplace_back(name);
        EXPECT_EQ(kind == access::update, name != "g" && name != "settings");
        view.data = &place;
    });
    EXPECT_THAT(names, ElementsAre("p", "g", "m", "v", "p", "g", "m", "v", "settings"));
    EXPECT_EQ(step.parameters[1].v.data, &place);
    EXPECT_EQ(name_of(op), "adam_step");
}

TEST(operands_test, leave_out_what_is_absent) {
    batch_norm_forward op;
    op.x.slot = op.saved.slot = 1;
    std::vector<std::string> names;
    const operation_params params = op;
    for_each_operand(params,
                     [&](std::string_view name, const tensor_view&, access) { names.emplace_back(name); });
    EXPECT_THAT(names, ElementsAre("x", "saved"));
}

TEST(shape_test, counts_and_prints) {
    EXPECT_EQ((shape{2, 3, 4}).elements(), 24);
    EXPECT_EQ(shape{}.elements(), 1);
    EXPECT_EQ((shape{32, 64, 56, 56}).text(), "32x64x56x56");
    EXPECT_THROW((shape{1, 2, 3, 4, 5}), std::logic_error);
}

} // namespace
} // namespace petnet::testing
