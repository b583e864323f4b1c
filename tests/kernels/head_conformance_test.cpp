// SPDX-License-Identifier: Apache-2.0
// The operations of the head, the loss and the optimizer, as conformance_test.cpp has the others.
#include "base/random.hpp"
#include "tests/kernels/conformance_fixture.hpp"
#include "tests/support/fill.hpp"

#include <fmt/format.h>
#include <gtest/gtest.h>

namespace petnet::testing {
namespace {

class head_conformance_test : public conformance_test {};

struct linear_case {
    std::int64_t batch, in, out;
};

TEST_P(head_conformance_test, linear) {
    for (const linear_case& size : {linear_case{1, 1, 1}, linear_case{3, 7, 5}, linear_case{8, 64, 2},
                                    linear_case{2, 1024, 512}, linear_case{5, 33, 37}})
        for (const bool relu : {false, true}) {
            const shape x{size.batch, size.in}, w{size.out, size.in}, y{size.batch, size.out};
            SCOPED_TRACE("x " + x.text() + ", w " + w.text());
            const auto forward = [&](test_tensors& tensors) {
                return linear_forward{tensors.input("x", x), tensors.input("w", w), tensors.output(y), relu};
            };
            expect([&](test_tensors& tensors) -> operation_params { return forward(tensors); });
            expect([&](test_tensors& tensors) -> operation_params {
                const linear_forward f = forward(tensors);
                if (relu) tensors.run(f);
                return linear_backward{f.x,
                                       f.w,
                                       relu ? f.y : tensor_view{},
                                       tensors.input("dy", y),
                                       tensors.output(x),
                                       tensors.output(w),
                                       relu};
            });
        }
}

TEST_P(head_conformance_test, dropout) {
    for (const shape& dims : features)
        for (const double probability : {0.0, 0.25, 0.5})
            for (const bool in_place : {false, true})
                expect([&](test_tensors& tensors) -> operation_params {
                    std::vector<std::uint64_t> keys(static_cast<std::size_t>(dims[0]));
                    for (std::size_t i = 0; i < keys.size(); ++i) keys[i] = random_key(i).value();
                    const tensor_view x = tensors.input("x", dims);
                    return kernels::dropout{x, tensors.integers(dtype::u64, {dims[0]}, keys),
                                            in_place ? x : like(tensors, x), probability, 3};
                });
}

TEST_P(head_conformance_test, softmax_cross_entropy) {
    enum class gradient : std::uint8_t { none, own, in_place };
    for (const shape& dims :
         {shape{1, 1}, shape{7, 2}, shape{3, 31}, shape{5, 33}, shape{64, 37}, shape{2, 1000}, shape{600, 3}})
        for (const gradient wanted : {gradient::none, gradient::own, gradient::in_place})
            for (const double deviation : {1.0, 80.0}) {
                SCOPED_TRACE(dims.text() + " deviation " + std::to_string(deviation));
                expect([&](test_tensors& tensors) -> operation_params {
                    std::vector<std::int32_t> target(static_cast<std::size_t>(dims[0]));
                    for (std::size_t i = 0; i < target.size(); ++i)
                        target[i] = static_cast<std::int32_t>(static_cast<std::int64_t>(i * 5) % dims[1]);
                    const tensor_view logits = tensors.input("logits", dims, deviation);
                    return kernels::softmax_cross_entropy{logits,
                                                          tensors.integers(dtype::i32, {dims[0]}, target),
                                                          tensors.output({1}),
                                                          tensors.output({dims[0]}),
                                                          tensors.output(tensor_desc{dtype::i32, {dims[0]}}),
                                                          wanted == gradient::none  ? tensor_view{}
                                                          : wanted == gradient::own ? like(tensors, logits)
                                                                                    : logits};
                });
            }
}

// A target outside the classes: the row's loss and the mean are NaN, other rows are as they were.
TEST_P(head_conformance_test, softmax_cross_entropy_of_unknown_target) {
    for (const std::int32_t unknown : {-1, 3, 1'000'000})
        expect([&](test_tensors& tensors) -> operation_params {
            return kernels::softmax_cross_entropy{
                tensors.input("logits", {2, 3}),
                tensors.integers(dtype::i32, {2}, std::vector<std::int32_t>{unknown, 1}),
                tensors.output({1}),
                tensors.output({2}),
                tensors.output(tensor_desc{dtype::i32, {2}}),
                {}};
        });
}

TEST_P(head_conformance_test, scaled_softmax_cross_entropy) {
    expect([&](test_tensors& tensors) -> operation_params {
        const tensor_view logits = tensors.input("logits", {5, 7});
        return kernels::softmax_cross_entropy{
            logits,
            tensors.integers(dtype::i32, {5}, std::vector<std::int32_t>{0, 6, 3, 1, 2}),
            tensors.output({1}),
            tensors.output({5}),
            tensors.output(tensor_desc{dtype::i32, {5}}),
            like(tensors, logits),
            tensors.input({loss_scale_columns}, std::vector<double>{1024, 0, 0, 0})};
    });
}

constexpr double infinity = std::numeric_limits<double>::infinity(),
                 not_a_number = std::numeric_limits<double>::quiet_NaN();

// Of state (scale, inverse, good steps, skipped); `bad` is an element of the last of the gradients.
struct loss_scale_case {
    std::vector<double> state;
    double bad;
};

TEST_P(head_conformance_test, loss_scale_update) {
    const double last_good = loss_scale_interval - 1;
    for (const loss_scale_case& tried : {loss_scale_case{{65536, 0, 0, 0}, 1},
                                         {{65536, 0, last_good, 2}, 1},
                                         {{65536, 0, last_good, 2}, infinity},
                                         {{1024, 0.5, 7, 3}, not_a_number},
                                         {{1024, 0.5, 7, 3}, -infinity}})
        for (const std::int64_t where : {0, 4095, 9000}) {
            SCOPED_TRACE(std::to_string(tried.bad) + " at " + std::to_string(where));
            expect([&](test_tensors& tensors) -> operation_params {
                kernels::loss_scale_update op;
                for (const std::int64_t count : {1, 7, 64, 9001})
                    op.gradients.push_back(tensors.input("g", {count}));
                std::vector<double> values = tensors.values(op.gradients.back());
                values[static_cast<std::size_t>(where)] = tried.bad;
                tensors.on().write(op.gradients.back(), std::span<const double>(values));
                op.gradients.push_back(tensors.weights("dw", {1, 3, 8, 8, 24, 7, 2, 3}));
                op.state = tensors.input({loss_scale_columns}, tried.state);
                return op;
            });
        }
}

// More of them than a block has threads.
TEST_P(head_conformance_test, loss_scale_update_of_many_gradients) {
    for (const std::size_t where : {std::size_t{0}, std::size_t{299}})
        expect([&](test_tensors& tensors) -> operation_params {
            kernels::loss_scale_update op;
            for (std::size_t i = 0; i < 300; ++i)
                op.gradients.push_back(
                    tensors.input({1}, std::vector<double>{i == where ? not_a_number : 1.0}));
            op.state = tensors.input({loss_scale_columns}, std::vector<double>{1024, 0.5, 7, 3});
            return op;
        });
}

class adam_conformance_test : public conformance_test {
  protected:
    // `state`: of loss_scale_update; empty: none.
    void expect_step(const std::vector<double>& state) {
        expect([&](test_tensors& tensors) -> operation_params { return make(tensors, state); });
    }

  private:
    static kernels::adam_step make(test_tensors& tensors, const std::vector<double>& state) {
        kernels::adam_step op;
        op.settings = tensors.input(shape{2, adam_settings_columns},
                                    std::vector<double>{2e-3, 0.95, 7, 1e-4, 0.85, 120});
        if (!state.empty()) op.loss_scale = tensors.input({loss_scale_columns}, state);
        const auto add = [&](const auto& make, std::int64_t row, bool decay) {
            op.parameters.push_back(
                {make("p", 1.0), make("g", 0.1), make("m", 0.1), make("v", 0.0), row, decay});
            std::vector<double> squares = tensors.values(op.parameters.back().v);
            for (std::size_t i = 0; i < squares.size(); ++i) squares[i] = static_cast<double>(i % 5) * 0.25;
            tensors.on().write(op.parameters.back().v, std::span<const double>(squares));
        };
        for (const std::int64_t count : {1, 7, 64, 1000, 20'001}) // the last one several blocks', or pieces
            add([&](std::string_view name,
                    double deviation) { return tensors.input(name, {count}, deviation); },
                count % 2, count > 7);
        const convolution_shape shape{1, 3, 8, 8, 24, 7, 2, 3};
        add([&](std::string_view name, double deviation) { return tensors.weights(name, shape, deviation); },
            1, true);
        return op;
    }
};

TEST_P(adam_conformance_test, step) { expect_step({}); }
TEST_P(adam_conformance_test, scaled_step) { expect_step({1024, 1.0 / 512, 3, 2}); }
TEST_P(adam_conformance_test, skipped_step) { expect_step({1024, 0, 0, 3}); }

INSTANTIATE_TEST_SUITE_P(every_backend, head_conformance_test, ::testing::ValuesIn(backends_and_dtypes()),
                         conformance_test::case_name);
INSTANTIATE_TEST_SUITE_P(every_backend, adam_conformance_test, ::testing::ValuesIn(backends_and_dtypes()),
                         conformance_test::case_name);

} // namespace
} // namespace petnet::testing
