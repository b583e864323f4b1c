// SPDX-License-Identifier: Apache-2.0
// What cuDNN offers for petnet's convolutions on devices that need not be there.
#include "kernels/cuda/cudnn_graph.hpp"

#include "base/errors.hpp"
#include "kernels/cuda/cudnn_library.hpp"
#include "kernels/cuda/layout.hpp"
#include "kernels/problems.hpp"
#include "tests/kernels/cuda/devices.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <set>
#include <span>
#include <string>
#include <vector>

namespace petnet::kernels::cuda {
namespace {

using petnet::testing::a100;
using petnet::testing::described_device;
using petnet::testing::h200;
using petnet::testing::tesla_t4;

constexpr std::int64_t batch = 32;
constexpr std::size_t megabyte = std::size_t{1} << 20;
constexpr std::size_t no_limit = std::size_t{1} << 40;

constexpr std::array kinds{convolution_kind::forward, convolution_kind::backward_data,
                           convolution_kind::backward_weights};

convolution_shape stored(convolution_shape shape) {
    shape.in_channels = padded_channels(shape.in_channels);
    shape.out_channels = padded_channels(shape.out_channels);
    return shape;
}

stored_convolution layer1(convolution_kind kind, dtype activations) {
    return {kind, with_batch(resnet34_convolutions[1].shape, batch), activations};
}

std::vector<cudnn_plan> plans_of(const described_device& device, const stored_convolution& problem,
                                 bool tf32 = false) {
    return cudnn_graph(device.json(), problem, tf32).plans(100, no_limit);
}

std::set<std::string> names_of(const std::vector<cudnn_plan>& plans) {
    std::set<std::string> names;
    for (const cudnn_plan& plan : plans) names.insert(plan.name);
    return names;
}

class cuda_cudnn_graph : public ::testing::Test {
  protected:
    void SetUp() override {
        try {
            (void)load_cudnn();
        } catch (const environment_error& e) {
            GTEST_SKIP() << e.what();
        }
    }
};

// T4 has no bf16.
std::vector<dtype> dtypes_of(const described_device& device) {
    if (device.compute_capability < 800) return {dtype::f32, dtype::f16};
    return {dtype::f32, dtype::bf16, dtype::f16};
}

void expect_plans(const described_device& device, const convolution_shape& shape) {
    for (const dtype activations : dtypes_of(device))
        for (const convolution_kind kind : kinds) {
            const stored_convolution problem{kind, shape, activations};
            SCOPED_TRACE(device.name + ", " + text_of(problem));
            constexpr std::size_t limit = 8, workspace_bytes = 256 * megabyte;
            const auto plans = cudnn_graph(device.json(), problem, false).plans(limit, workspace_bytes);
            EXPECT_FALSE(plans.empty());
            EXPECT_LE(plans.size(), limit);
            EXPECT_EQ(names_of(plans).size(), plans.size());
            for (const cudnn_plan& plan : plans)
                EXPECT_LE(plan.workspace_bytes, workspace_bytes) << plan.name;
        }
}

void expect_resnet34(const described_device& device) {
    for (const convolution_problem& problem : resnet34_convolutions)
        expect_plans(device, stored(with_batch(problem.shape, batch)));
}
TEST_F(cuda_cudnn_graph, has_plans_for_resnet34_on_a_t4) { expect_resnet34(tesla_t4); }
TEST_F(cuda_cudnn_graph, has_plans_for_resnet34_on_an_a100) { expect_resnet34(a100); }
TEST_F(cuda_cudnn_graph, has_plans_for_resnet34_on_an_h200) { expect_resnet34(h200); }

TEST_F(cuda_cudnn_graph, has_plans_for_odd_sizes) {
    for (const described_device& device : {tesla_t4, a100, h200})
        for (const convolution_shape& shape :
             {convolution_shape{1, 1, 5, 7, 1, 3, 1, 1}, convolution_shape{1, 3, 8, 9, 8, 7, 2, 3},
              convolution_shape{3, 8, 1, 1, 16, 3, 1, 1}, convolution_shape{3, 40, 2, 3, 8, 1, 2, 0},
              convolution_shape{2, 16, 9, 11, 24, 3, 2, 1}, convolution_shape{1, 8, 10, 9, 8, 5, 3, 2}})
            expect_plans(device, stored(shape));
}

TEST_F(cuda_cudnn_graph, finds_a_plan_again_by_its_name) {
    const stored_convolution problem = layer1(convolution_kind::backward_weights, dtype::bf16);
    const auto plans = plans_of(h200, problem);
    ASSERT_FALSE(plans.empty());
    cudnn_graph again(h200.json(), problem, false);
    for (const cudnn_plan& plan : {plans.front(), plans.back()}) {
        const auto found = again.plan(plan.name);
        ASSERT_TRUE(found) << plan.name;
        EXPECT_EQ(found->name, plan.name);
        EXPECT_EQ(found->workspace_bytes, plan.workspace_bytes);
    }
    EXPECT_FALSE(again.plan("eng12345"));
    EXPECT_FALSE(again.plan(""));
}

TEST_F(cuda_cudnn_graph, ranks_the_same_plans_each_time) {
    const stored_convolution problem = layer1(convolution_kind::forward, dtype::f16);
    const auto first = plans_of(a100, problem), second = plans_of(a100, problem);
    EXPECT_TRUE(std::ranges::equal(first, second, {}, &cudnn_plan::name, &cudnn_plan::name));
}

TEST_F(cuda_cudnn_graph, keeps_float32_off_tensor_cores_unless_allowed) {
    for (const convolution_kind kind : kinds) {
        const stored_convolution problem = layer1(kind, dtype::f32);
        SCOPED_TRACE(text_of(problem));
        for (const described_device& device : {a100, h200}) {
            const auto exact = plans_of(device, problem, false), tf32 = plans_of(device, problem, true);
            EXPECT_GT(tf32.size(), exact.size()) << device.name;
            EXPECT_TRUE(std::ranges::includes(names_of(tf32), names_of(exact))) << device.name;
            EXPECT_FALSE(names_of(exact).contains(tf32.front().name)) << device.name;
        }
        EXPECT_EQ(names_of(plans_of(tesla_t4, problem, false)), names_of(plans_of(tesla_t4, problem, true)))
            << "a T4 has no such tensor cores";
    }
}

TEST_F(cuda_cudnn_graph, keeps_to_limits_of_number_and_workspace) {
    const stored_convolution problem = layer1(convolution_kind::backward_data, dtype::f32);
    const auto all = plans_of(a100, problem);
    ASSERT_GT(all.size(), 2U);
    EXPECT_GT(all.front().workspace_bytes, megabyte);
    const auto two = cudnn_graph(a100.json(), problem, false).plans(2, no_limit);
    EXPECT_TRUE(std::ranges::equal(two, std::span(all).first(2), {}, &cudnn_plan::name, &cudnn_plan::name));
    const auto small = cudnn_graph(a100.json(), problem, false).plans(all.size(), megabyte);
    EXPECT_FALSE(small.empty());
    EXPECT_LT(small.size(), all.size());
    for (const cudnn_plan& plan : small) EXPECT_LE(plan.workspace_bytes, megabyte) << plan.name;
    const stored_convolution greedy{convolution_kind::backward_data_and_sums, problem.shape, dtype::f16};
    const auto smallest = cudnn_graph(a100.json(), greedy, false).plans(8, 0);
    ASSERT_EQ(smallest.size(), 1U) << "all need some: the one that needs the least";
    for (const cudnn_plan& plan : plans_of(a100, greedy))
        EXPECT_LE(smallest.front().workspace_bytes, plan.workspace_bytes) << plan.name;
}

// Which convolutions can bring the sums of their batch norm, and read through the one before: float16 alone,
// from Ampere on, all of ResNet-34's but the stem, whose photographs have too few channels. (A new cuDNN may
// have more: then the table in docs/architecture.md grows with this test.)
bool has_fused_plans(const described_device& device, convolution_kind kind, dtype activations,
                     const convolution_problem& layer, bool through_norm) {
    const stored_convolution problem{kind, stored(with_batch(layer.shape, batch)), activations, through_norm};
    try {
        return !cudnn_graph(device.json(), problem, false).plans(1, no_limit).empty();
    } catch (const environment_error&) {
        return false;
    }
}
TEST_F(cuda_cudnn_graph, fuses_in_float16_from_ampere_on) {
    for (const described_device& device : {tesla_t4, a100, h200})
        for (const dtype activations : {dtype::f16, dtype::bf16})
            for (const convolution_problem& layer : resnet34_convolutions) {
                SCOPED_TRACE(device.name + ", " + name_of(activations) + ", " + std::string(layer.name));
                const bool expected = device.compute_capability >= 800 && activations == dtype::f16;
                const bool is_stem = layer.name == "conv1";
                const auto has = [&](convolution_kind kind, bool through_norm) {
                    return has_fused_plans(device, kind, activations, layer, through_norm);
                };
                EXPECT_EQ(has(convolution_kind::forward_and_sums, false), expected && !is_stem);
                if (is_stem) continue; // no batch norm before it, and nobody wants the photograph's gradient
                EXPECT_EQ(has(convolution_kind::backward_data_and_sums, false), expected);
                EXPECT_EQ(has(convolution_kind::forward_and_sums, true), expected);
                EXPECT_EQ(has(convolution_kind::backward_weights, true), expected);
                // Without the sums on Ampere alone: petnet does without.
                EXPECT_EQ(has(convolution_kind::forward, true), expected && device.compute_capability < 900);
            }
}

TEST_F(cuda_cudnn_graph, what_cudnn_cannot_do_is_an_error_in_one_line) {
    const auto message = [](const std::string& device, dtype activations) -> std::string {
        try {
            (void)cudnn_graph(device, layer1(convolution_kind::forward, activations), false);
        } catch (const environment_error& e) {
            return e.what();
        }
        return "nothing was thrown";
    };
    for (const std::string& text : {message(tesla_t4.json(), dtype::bf16), message("{}", dtype::f32),
                                    message("no JSON", dtype::f32), message("", dtype::f32)}) {
        EXPECT_TRUE(text.starts_with("cuDNN: ")) << text;
        EXPECT_NE(text.find(" failed: "), std::string::npos) << text;
        EXPECT_EQ(text.find('\n'), std::string::npos) << text;
    }
    EXPECT_THROW((void)cudnn_graph(h200.json(), layer1(convolution_kind::forward, dtype::u8), false),
                 std::logic_error);
}

} // namespace
} // namespace petnet::kernels::cuda
