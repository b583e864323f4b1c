// SPDX-License-Identifier: Apache-2.0
// What is compared before it is timed: right results pass, a wrong value in any result does not.
#include "bench/verification.hpp"

#include "bench/channel_slice.hpp"
#include "tests/support/test_tensors.hpp"

#include <algorithm>
#include <functional>
#include <gtest/gtest.h>

namespace petnet::testing {
namespace {

class verification_test : public ::testing::Test {
  protected:
    // Right as it is; then each floating-point result in turn gets a wrong value in its first channel.
    void expect_judged(const std::function<operation_params(test_tensors&)>& make,
                       const max_pool_forward* pooled = nullptr) {
        const operation_params op = make(tensors_);
        SCOPED_TRACE(std::string(name_of(op)));
        bench::verification right(*device_, op, pooled);
        tensors_.run(op);
        EXPECT_EQ(right.judge(), std::nullopt);
        for_each_operand(op, [&](std::string_view name, const tensor_view& view, access kind) {
            if (kind != access::write || !is_floating(view.desc.type)) return;
            bench::verification wrong(*device_, op, pooled);
            tensors_.run(op);
            std::vector<float> values(static_cast<std::size_t>(view.desc.dims.elements()));
            device_->read(view, std::span(values));
            values.front() += 0.1F * std::abs(*std::ranges::max_element(values)) + 0.1F;
            device_->write(view, std::span<const float>(values));
            const auto departure = wrong.judge();
            ASSERT_TRUE(departure.has_value()) << name;
            EXPECT_NE(departure->find(" of " + std::string(name) + " are off by"), std::string::npos)
                << *departure;
        });
    }

    std::unique_ptr<backend> device_ = make_backend("reference");
    test_tensors tensors_{*device_, dtype::f32, dtype::f32};
};

constexpr convolution_shape convolved{3, 6, 9, 8, 10, 3, 2, 1};

TEST_F(verification_test, judges_convolutions_by_some_channels) {
    expect_judged([](test_tensors& on) {
        return convolution_forward{convolved, on.input("x", convolved.x()), on.weights("w", convolved),
                                   on.output(convolved.y())};
    });
    expect_judged([](test_tensors& on) {
        return convolution_backward_data{convolved, on.input("dy", convolved.y()), on.weights("w", convolved),
                                         on.output(convolved.x())};
    });
    expect_judged([](test_tensors& on) {
        return convolution_backward_weights{convolved, on.input("x", convolved.x()),
                                            on.input("dy", convolved.y()), on.weights_output(convolved)};
    });
}

TEST_F(verification_test, judges_batch_norm_by_some_channels) {
    const shape dims{3, 10, 5, 4};
    batch_norm_forward forward;
    expect_judged([&](test_tensors& on) {
        forward = {on.input("x", dims),
                   on.input("gamma", {10}, 0.2, 1),
                   on.input("beta", {10}),
                   on.input("mean", {10}),
                   on.input("variance", {10}, 0.1, 1),
                   on.input("residual", dims),
                   on.output(dims),
                   on.output({4, 10}),
                   true};
        return forward;
    });
    expect_judged([&](test_tensors& on) {
        return batch_norm_backward{on.input("dy", dims),
                                   {},
                                   forward.x,
                                   forward.y,
                                   forward.gamma,
                                   forward.saved,
                                   on.output(dims),
                                   on.output({10}),
                                   on.output({10}),
                                   on.output(dims),
                                   true};
    });
}

TEST_F(verification_test, judges_pools_by_some_channels) {
    const shape dims{2, 9, 6, 6}, pooled{2, 9, 3, 3};
    max_pool_forward forward;
    expect_judged([&](test_tensors& on) {
        forward = {on.input("x", dims), on.input("saved", {4, 9}), on.output(pooled),
                   on.output(on.on().activation(dtype::u8, pooled))};
        return forward;
    });
    // Its dx tolerates one wrong value in a thousand, as equal maxima may be told apart either way.
    bench::verification right(
        *device_, max_pool_backward{tensors_.input("dy", pooled), {}, forward.argmax, tensors_.output(dims)},
        &forward);
    EXPECT_NE(right.judge(), std::nullopt) << "it was not executed";
    expect_judged([&](test_tensors& on) {
        return concat_pool_forward{on.input("x", dims), on.output(shape{2, 18}),
                                   on.output(tensor_desc{dtype::i32, {2, 9}})};
    });
}

TEST_F(verification_test, judges_all_of_the_rest) {
    expect_judged([](test_tensors& on) {
        return linear_forward{on.input("x", {4, 6}), on.input("w", {5, 6}), on.output(shape{4, 5}), true};
    });
}

TEST(channel_slice, takes_four_channels_from_the_first_to_the_last) {
    EXPECT_EQ(bench::chosen_channels(64), (std::vector<std::int64_t>{0, 21, 42, 63}));
    EXPECT_EQ(bench::chosen_channels(3), (std::vector<std::int64_t>{0, 1, 2}));
    EXPECT_EQ(bench::chosen_channels(1), (std::vector<std::int64_t>{0}));
    // (2, 3, 2): rows 0 and 2 of the middle axis.
    std::vector<std::byte> values(12);
    for (std::size_t i = 0; i < values.size(); ++i) values[i] = static_cast<std::byte>(i);
    const std::vector<std::byte> kept = bench::sliced(values, 1, {2, 3, 2}, 1, {0, 2});
    const std::vector<int> expected{0, 1, 4, 5, 6, 7, 10, 11};
    EXPECT_TRUE(std::ranges::equal(kept, expected, {}, [](std::byte b) { return static_cast<int>(b); }));
}

} // namespace
} // namespace petnet::testing
