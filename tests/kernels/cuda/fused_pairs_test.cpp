// SPDX-License-Identifier: Apache-2.0
// Convolutions fused with the batch norms beside them: against the double reference, and that a trial finds
// every kind of wrong result. Our kernels on the host's emulation of CUDA, cuDNN's in plain loops.
#include "kernels/cuda/fused_pairs.hpp"

#include "cuda_host/control.hpp"
#include "kernels/cuda/difference.hpp"
#include "kernels/cuda/element.cuh"
#include "kernels/cuda/pair_trial.hpp"
#include "kernels/cuda/resources.hpp"
#include "kernels/tolerance.hpp"
#include "tests/kernels/conformance.hpp"
#include "tests/kernels/cuda/spoilt_plan.hpp"
#include "tests/support/compare.hpp"

#include <gtest/gtest.h>

#include <functional>
#include <limits>
#include <map>
#include <string>
#include <vector>

namespace petnet::testing {
namespace {

using cuda::convolution_operands;
using cuda::convolution_plan;

struct pair_params {
    operation_params first, second;
};

// A batch norm's scale and shift that are exact in any 16-bit format; its mean and deviation are of no use.
tensor_view saved_statistics(test_tensors& tensors, std::int64_t channels) {
    std::vector<double> rows(static_cast<std::size_t>(4 * channels), -77);
    for (std::int64_t c = 0; c < channels; ++c) {
        rows[static_cast<std::size_t>(2 * channels + c)] = c % 3 == 0 ? -0.75 : 1.25;
        rows[static_cast<std::size_t>(3 * channels + c)] = 0.25 * static_cast<double>(2 - c % 5);
    }
    return tensors.input({4, channels}, rows);
}

struct forward_options {
    bool relu = true, adds = false, applies = true, through_norm = false;
};
pair_params forward_pair(test_tensors& tensors, const convolution_shape& shape, const forward_options& how) {
    const convolution_forward convolution{
        shape, tensors.input("x", shape.x(), 1, 0.5), tensors.weights("w", shape), tensors.output(shape.y()),
        how.through_norm ? saved_statistics(tensors, shape.in_channels) : tensor_view{}};
    const std::int64_t channels = shape.out_channels;
    return {convolution,
            batch_norm_forward{convolution.y, tensors.input("gamma", {channels}, 0.2, 1),
                               tensors.input("beta", {channels}, 0.2), tensors.input("mean", {channels}, 0.3),
                               tensors.input("variance", {channels}, 0.1, 1),
                               how.adds ? tensors.input("residual", shape.y()) : tensor_view{},
                               how.applies ? tensors.output(shape.y()) : tensor_view{},
                               tensors.output({4, channels}), how.relu}};
}

// `saved` as training leaves it, of values that are not near the cut.
pair_params backward_pair(test_tensors& tensors, const convolution_shape& shape) {
    const std::int64_t channels = shape.in_channels;
    std::vector<double> values(static_cast<std::size_t>(shape.x().elements()));
    for (std::size_t i = 0; i < values.size(); ++i)
        values[i] = (i * 7 % 11 < 5 ? -1 : 1) * (0.75 + 0.0625 * static_cast<double>(i * 11 % 13)) + 0.25;
    const batch_norm_forward forward{tensors.input(shape.x(), values),
                                     tensors.input("gamma", {channels}, 0.1, 1),
                                     tensors.input("beta", {channels}, 0.1),
                                     tensors.input("mean", {channels}),
                                     tensors.input("variance", {channels}),
                                     {},
                                     tensors.output(shape.x()),
                                     tensors.output({4, channels}),
                                     true};
    tensors.run(forward);
    const convolution_backward_data convolution{shape, tensors.input("dy", shape.y()),
                                                tensors.weights("w", shape), tensors.output(shape.x())};
    return {convolution, batch_norm_backward{.dy = convolution.dx,
                                             .dy2 = {},
                                             .x = forward.x,
                                             .y = {},
                                             .gamma = forward.gamma,
                                             .saved = forward.saved,
                                             .dx = convolution.dx,
                                             .dgamma = tensors.output({channels}),
                                             .dbeta = tensors.output({channels}),
                                             .dresidual = {},
                                             .relu = true}};
}

using results = std::map<std::string, std::vector<double>>;
results written(test_tensors& tensors, const pair_params& pair) {
    results found;
    for (const operation_params* op : {&pair.first, &pair.second})
        for_each_operand(*op, [&](std::string_view name, const tensor_view& view, access kind) {
            if (kind != access::read)
                found[std::string(name_of(*op)) + " " + std::string(name)] = tensors.values(view);
        });
    return found;
}

using pair_builder = std::function<pair_params(test_tensors&)>;

// The pair as one operation against two of reference-double. Between them is a tensor that one side rounds
// and the other does not: that is one rounding more than tolerance_of() allows for, and another where the
// convolution reads through a batch norm.
void expect_conformance(backend& fusing, dtype activations, const pair_builder& build) {
    const std::unique_ptr<backend> oracle = make_backend("reference-double");
    test_tensors expected_tensors(*oracle, dtype::f32, activations);
    const pair_params expected_pair = build(expected_tensors);
    expected_tensors.run(expected_pair.first);
    expected_tensors.run(expected_pair.second);
    const results expected = written(expected_tensors, expected_pair);

    results first_run;
    for (int run = 0; run < 2; ++run) {
        test_tensors tensors(fusing, activations, activations);
        const pair_params pair = build(tensors);
        const std::unique_ptr<operation> fused = fusing.prepare_pair(pair.first, pair.second);
        ASSERT_TRUE(fused);
        tensors.execute(*fused);
        const results actual = written(tensors, pair);
        EXPECT_TRUE(tensors.guards_intact());
        if (run == 1) {
            EXPECT_EQ(actual, first_run) << "the same bits";
            break;
        }
        first_run = actual;
        const auto* forward = std::get_if<convolution_forward>(&pair.first);
        const double roundings = forward != nullptr && forward->saved.present() ? 2 : 1;
        const double unit = activations == dtype::bf16 ? 0x1p-8 : 0x1p-11;
        for (const auto& [name, values] : expected)
            EXPECT_TRUE(close_to(actual.at(name), values,
                                 roundings * unit + tolerance_of(pair.second, activations), 0))
                << name;
    }
}

const std::vector<convolution_shape> shapes{{2, 16, 9, 11, 24, 3, 1, 1},
                                            {1, 24, 7, 7, 40, 3, 1, 1},
                                            {2, 16, 9, 11, 32, 3, 2, 1},
                                            {3, 40, 6, 5, 8, 1, 2, 0},
                                            {2, 64, 14, 14, 64, 3, 1, 1}};

class cuda_fused_pairs : public ::testing::TestWithParam<dtype> {
  protected:
    ~cuda_fused_pairs() override { cuda_host::reset(); }
    std::unique_ptr<backend> backend_ = make_backend("cuda", {.fuse = fusion::always});
};

TEST_P(cuda_fused_pairs, convolution_and_batch_norm_conform) {
    std::vector<convolution_shape> all = shapes;
    all.push_back({2, 3, 15, 14, 20, 7, 2, 3}); // padded channels on both sides
    for (const convolution_shape& shape : all)
        for (const forward_options& how :
             {forward_options{}, forward_options{.relu = false}, forward_options{.adds = true},
              forward_options{.applies = false}}) {
            SCOPED_TRACE("x " + shape.x().text() + ", w " + shape.w().text());
            expect_conformance(*backend_, GetParam(),
                               [&](test_tensors& tensors) { return forward_pair(tensors, shape, how); });
        }
}

TEST_P(cuda_fused_pairs, convolution_between_two_batch_norms_conforms) {
    for (const convolution_shape& shape : shapes)
        for (const forward_options& how :
             {forward_options{.through_norm = true}, forward_options{.adds = true, .through_norm = true}}) {
            SCOPED_TRACE("x " + shape.x().text() + ", w " + shape.w().text());
            expect_conformance(*backend_, GetParam(),
                               [&](test_tensors& tensors) { return forward_pair(tensors, shape, how); });
        }
}

TEST_P(cuda_fused_pairs, weight_gradient_through_a_batch_norm_conforms) {
    std::vector<convolution_shape> all = shapes;
    all.push_back({2, 12, 5, 4, 16, 3, 1, 1}); // padded channels: by a tensor after all
    for (const convolution_shape& shape : all) {
        SCOPED_TRACE("x " + shape.x().text() + ", w " + shape.w().text());
        petnet::testing::expect_conformance(
            *backend_, GetParam(), [&](test_tensors& tensors) -> operation_params {
                return convolution_backward_weights{
                    shape, tensors.input("x", shape.x()), tensors.input("dy", shape.y()),
                    tensors.weights_output(shape), saved_statistics(tensors, shape.in_channels)};
            });
    }
}

TEST_P(cuda_fused_pairs, backward_data_and_batch_norm_conform) {
    for (const convolution_shape& shape : shapes) {
        SCOPED_TRACE("x " + shape.x().text() + ", w " + shape.w().text());
        expect_conformance(*backend_, GetParam(),
                           [&](test_tensors& tensors) { return backward_pair(tensors, shape); });
    }
}

TEST_P(cuda_fused_pairs, nothing_else_is_a_pair) {
    test_tensors tensors(*backend_, GetParam(), GetParam());
    const convolution_shape shape{2, 16, 5, 4, 16, 3, 1, 1};
    const auto is_pair = [&](const operation_params& first, const operation_params& second) {
        return backend_->prepare_pair(first, second) != nullptr;
    };
    const pair_params forward = forward_pair(tensors, shape, {}), other = forward_pair(tensors, shape, {}),
                      backward = backward_pair(tensors, shape);
    EXPECT_TRUE(is_pair(forward.first, forward.second));
    EXPECT_TRUE(is_pair(backward.first, backward.second));
    EXPECT_FALSE(is_pair(forward.first, other.second)) << "another tensor";
    EXPECT_FALSE(is_pair(forward.second, forward.first));
    EXPECT_FALSE(is_pair(forward.first, backward.second));

    const auto changed = [&](const std::function<void(batch_norm_backward&)>& change) {
        auto second = std::get<batch_norm_backward>(backward.second);
        change(second);
        return is_pair(backward.first, second);
    };
    EXPECT_FALSE(changed([&](batch_norm_backward& op) { op.relu = false; }));
    EXPECT_FALSE(changed([&](batch_norm_backward& op) { op.dy2 = tensors.input("dy2", shape.x()); }));
    EXPECT_FALSE(changed([&](batch_norm_backward& op) { op.y = tensors.input("y", shape.x()); }));
    EXPECT_FALSE(changed([&](batch_norm_backward& op) { op.dx = tensors.output(shape.x()); }));
    EXPECT_FALSE(changed([&](batch_norm_backward& op) {
        op.y = tensors.input("y", shape.x());
        op.dresidual = op.dy;
        op.dx = tensors.output(shape.x());
    }));
    const pair_params padded = backward_pair(tensors, {2, 12, 5, 4, 16, 3, 1, 1});
    EXPECT_FALSE(is_pair(padded.first, padded.second)) << "cuDNN would read vectors beyond their end";
    const pair_params through = forward_pair(tensors, {2, 12, 5, 4, 16, 3, 1, 1}, {.through_norm = true});
    EXPECT_FALSE(is_pair(through.first, through.second)) << "so it would";

    test_tensors float32(*backend_, dtype::f32, dtype::f32);
    const pair_params exact = forward_pair(float32, shape, {});
    EXPECT_FALSE(is_pair(exact.first, exact.second));
    for (const fusion fuse : {fusion::never, fusion::when_faster})
        EXPECT_FALSE(make_backend("cuda", {.fuse = fuse})->prepare_pair(forward.first, forward.second));
}

INSTANTIATE_TEST_SUITE_P(dtypes, cuda_fused_pairs, ::testing::Values(dtype::f16, dtype::bf16),
                         [](const auto& tested) { return std::string(name_of(tested.param)); });

// ---------------------------------------------------------------------------------------------------------
// Trials

class cuda_pair_trial : public ::testing::Test {
  protected:
    // Those of the pair on this backend; `problem` for make_plain_plan.
    struct tried {
        std::unique_ptr<cuda::pair_trial> trial;
        std::shared_ptr<convolution_plan> right;
        [[nodiscard]] bool agrees(const spoilt_plan::spoil& how) const {
            return trial->agrees(std::make_shared<spoilt_plan>(right, how));
        }
    };
    [[nodiscard]] tried try_out(const pair_params& pair) {
        return {cuda::make_pair_trial(context_, pair.first, pair.second),
                cuda::make_plain_plan(*cuda::problem_of_pair(pair.first, pair.second))};
    }
    ~cuda_pair_trial() override { cuda_host::reset(); }

    static constexpr convolution_shape shape_{2, 16, 9, 11, 24, 3, 1, 1};
    std::unique_ptr<backend> backend_ = make_backend("cuda");
    test_tensors tensors_{*backend_, dtype::f16, dtype::f16};
    cuda::stream stream_ = cuda::make_stream();
    std::unique_ptr<cuda::convolutions> convolve_ = cuda::make_convolutions(stream_.get(), {});
    cuda::context context_{stream_.get(), *convolve_};
};

TEST_F(cuda_pair_trial, of_a_forward_pair_finds_what_is_wrong) {
    const tried of = try_out(forward_pair(tensors_, shape_, {.adds = true}));
    constexpr std::int64_t channels = 24, elements = 2 * 9 * 11 * channels;
    EXPECT_TRUE(of.trial->agrees(of.right));
    EXPECT_TRUE(of.agrees([](const convolution_operands&) {}));
    EXPECT_FALSE(of.agrees([](const convolution_operands& on) { element(on, elements - 1) = {}; }))
        << "an element";
    EXPECT_FALSE(of.agrees([](const convolution_operands& on) { on.sums[channels - 1] *= 1.01F; }))
        << "a sum";
    EXPECT_FALSE(of.agrees([](const convolution_operands& on) { on.sums[channels] *= 0.99F; }))
        << "of squares";
    EXPECT_FALSE(of.agrees([](const convolution_operands& on) { on.sums[3] = std::nanf(""); }));
    EXPECT_TRUE(of.agrees([](const convolution_operands& on) { on.sums[channels + 1] *= 1 + 0x1p-20F; }))
        << "rounding";
    class writes_nothing final : public convolution_plan {
        [[nodiscard]] std::size_t workspace_bytes() const override { return 0; }
        void execute(const convolution_operands&, std::byte*, cudaStream_t) override {}
    };
    EXPECT_FALSE(of.trial->agrees(std::make_shared<writes_nothing>()));
    EXPECT_TRUE(of.trial->agrees(of.right)) << "after all of them";
    EXPECT_LT(of.trial->milliseconds(nullptr), std::numeric_limits<double>::infinity());
    EXPECT_LT(of.trial->milliseconds(of.right), std::numeric_limits<double>::infinity());
}

TEST_F(cuda_pair_trial, of_a_backward_pair_finds_what_is_wrong) {
    const tried of = try_out(backward_pair(tensors_, shape_));
    constexpr std::int64_t channels = 16, elements = 2 * 9 * 11 * channels;
    EXPECT_TRUE(of.trial->agrees(of.right));
    EXPECT_FALSE(of.agrees([](const convolution_operands& on) { // one that was not cut, as if it had been
        std::int64_t i = elements - 1;
        while (cuda::to_float(element(on, i)) == 0) --i;
        element(on, i) = {};
    }));
    EXPECT_FALSE(of.agrees([](const convolution_operands& on) { // and one that was, as if it had not
        std::int64_t i = 0;
        while (cuda::to_float(element(on, i)) != 0) ++i;
        element(on, i) = cuda::from_float<cuda::f16>(3);
    }));
    EXPECT_FALSE(
        of.agrees([](const convolution_operands& on) { on.sums[2] += 0.01F * (1 + std::abs(on.sums[2])); }));
    EXPECT_FALSE(of.agrees([](const convolution_operands& on) { on.sums[channels] = -on.sums[channels]; }));
    EXPECT_TRUE(of.agrees([](const convolution_operands& on) { on.sums[2 * channels] = 0; }))
        << "coefficients that nobody reads";
}

TEST_F(cuda_pair_trial, of_a_pair_through_a_batch_norm_finds_what_is_wrong) {
    const tried of = try_out(forward_pair(tensors_, shape_, {.adds = true, .through_norm = true}));
    EXPECT_TRUE(of.trial->agrees(of.right));
    const pair_params without = forward_pair(tensors_, shape_, {.adds = true});
    EXPECT_FALSE(
        of.trial->agrees(cuda::make_plain_plan(*cuda::problem_of_pair(without.first, without.second))))
        << "a plan that leaves the batch norm out";
    EXPECT_FALSE(of.agrees([](const convolution_operands& on) { on.sums[2] *= 1.02F; }));
    EXPECT_LT(of.trial->milliseconds(nullptr), std::numeric_limits<double>::infinity());
}

// A plan puts the batch norm's output where the convolution's input was, once that is not needed any more.
TEST_F(cuda_pair_trial, of_tensors_that_follow_one_another_in_memory) {
    const convolution_shape shape{2, 16, 9, 11, 16, 3, 1, 1};
    pair_params pair = forward_pair(tensors_, shape, {.adds = true});
    auto& norm = std::get<batch_norm_forward>(pair.second);
    norm.y.data = std::get<convolution_forward>(pair.first).x.data;
    const tried over_input = try_out(pair);
    EXPECT_TRUE(over_input.trial->agrees(over_input.right));
    norm.y.data = norm.residual.data;
    const tried over_residual = try_out(pair);
    EXPECT_TRUE(over_residual.trial->agrees(over_residual.right));
}

// A plan whose workspace does not fit leaves the others theirs.
TEST_F(cuda_pair_trial, goes_on_after_a_plan_that_wants_too_much) {
    // Separately, the batch norm needs a workspace for the sums of several blocks; the pair for one.
    const tried of = try_out(forward_pair(tensors_, {4, 16, 28, 28, 24, 3, 1, 1}, {}));
    class greedy_plan final : public convolution_plan {
        [[nodiscard]] std::size_t workspace_bytes() const override { return std::size_t{1} << 20; }
        void execute(const convolution_operands&, std::byte*, cudaStream_t) override {}
    };
    cuda_host::fail_next("cudaMalloc", cudaErrorMemoryAllocation, 0);
    EXPECT_FALSE(of.trial->agrees(std::make_shared<greedy_plan>()));
    EXPECT_TRUE(of.trial->agrees(of.right));
    EXPECT_LT(of.trial->milliseconds(nullptr), std::numeric_limits<double>::infinity());
}

TEST_F(cuda_pair_trial, needs_memory_and_gives_it_back) {
    const pair_params pair = forward_pair(tensors_, shape_, {});
    (void)try_out(pair);
    const auto before = cuda_host::in_use();
    for (const int successes : {0, 3, 8}) {
        cuda_host::fail_next("cudaMalloc", cudaErrorMemoryAllocation, successes);
        EXPECT_FALSE(cuda::make_pair_trial(context_, pair.first, pair.second)) << successes;
    }
    (void)try_out(pair);
    EXPECT_EQ(cuda_host::in_use(), before);
}

TEST(cuda_difference, is_the_largest_and_infinite_where_it_is_none) {
    const auto of = [](const std::vector<float>& a, const std::vector<float>& b) {
        const std::size_t bytes = a.size() * sizeof(float);
        const cuda::device_buffer on_device_a = cuda::make_device_buffer(bytes),
                                  on_device_b = cuda::make_device_buffer(bytes);
        cuda::check(cudaMemcpy(on_device_a.get(), a.data(), bytes, cudaMemcpyHostToDevice), "copying");
        cuda::check(cudaMemcpy(on_device_b.get(), b.data(), bytes, cudaMemcpyHostToDevice), "copying");
        return cuda::difference_of(nullptr, dtype::f32, on_device_a.get(), on_device_b.get(),
                                   static_cast<std::int64_t>(a.size()));
    };
    constexpr float infinity = std::numeric_limits<float>::infinity();
    for (const std::size_t count : {std::size_t{1}, std::size_t{300}, std::size_t{512 * 256 + 77}})
        for (const std::size_t at : {std::size_t{0}, count / 2, count - 1}) {
            std::vector<float> a(count, -1), b(count, -1.25F);
            EXPECT_EQ(of(a, b).largest, 0.25F);
            EXPECT_EQ(of(a, b).largest_magnitude, 1);
            a[at] = -3;
            EXPECT_EQ(of(a, b).largest, 1.75F);
            EXPECT_EQ(of(a, b).largest_magnitude, 3);
            for (const float bad : {infinity, -infinity, std::nanf("")}) {
                b[at] = bad;
                EXPECT_EQ(of(a, b).largest, infinity);
                EXPECT_EQ(of(b, b).largest, infinity) << "equal infinities too";
            }
        }
}

} // namespace
} // namespace petnet::testing
