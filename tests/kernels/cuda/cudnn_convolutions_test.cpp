// SPDX-License-Identifier: Apache-2.0
// How plans are chosen, remembered and executed, over a made-up cuDNN. On the host's emulation of CUDA.
#include "tests/kernels/cuda/made_up_cudnn.hpp"

#include "base/errors.hpp"
#include "base/float16.hpp"
#include "kernels/cuda/resources.hpp"

#include <gmock/gmock.h>

#include <bit>
#include <cmath>
#include <cstring>

namespace petnet::kernels::cuda {
namespace {

using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

TEST_F(cuda_convolutions, the_fastest_plan_is_taken_and_remembered) {
    EXPECT_THAT(timed(options()), ::testing::IsSupersetOf({"first", "second", "third"}));
    EXPECT_EQ(taken(options()), "second");
    cudnn.plans[1].milliseconds = 100;
    EXPECT_THAT(timed(options()), IsEmpty()) << "what was chosen once is not timed again";
    EXPECT_EQ(taken(options()), "second");
    EXPECT_THAT(warnings_, IsEmpty());
}

TEST_F(cuda_convolutions, choices_depend_on_the_device_and_the_options) {
    EXPECT_EQ(taken(options()), "second");
    cudnn.plans[2].milliseconds = 1;
    auto other = options();
    other.tf32 = true;
    EXPECT_EQ(taken(other), "third");
    EXPECT_TRUE(cudnn.tf32);
    other.tf32 = false;
    other.workspace_bytes = 12345678;
    EXPECT_EQ(taken(other), "third");
    EXPECT_EQ(taken(options()), "second");
    cudaDeviceProp properties{};
    check(cudaGetDeviceProperties(&properties, 0), "asking");
    ++properties.multiProcessorCount;
    cuda_host::set_properties(properties);
    EXPECT_EQ(taken(options()), "third");
}

TEST_F(cuda_convolutions, nothing_is_timed_where_it_could_not_be_remembered_or_is_not_wanted) {
    EXPECT_THAT(timed({}), IsEmpty());
    EXPECT_EQ(taken({}), "first");
    auto quick = options();
    quick.tune = false;
    EXPECT_THAT(timed(quick), IsEmpty());
    EXPECT_EQ(taken(quick), "first");
    auto nowhere = options();
    nowhere.cache_folder = folder_.write("file", "not a folder");
    EXPECT_THAT(timed(nowhere), IsEmpty());
    EXPECT_THAT(warnings_, ElementsAre(HasSubstr((folder_.path() / "file").string())));
    EXPECT_EQ(taken(nowhere), "first");
}

TEST_F(cuda_convolutions, a_remembered_plan_that_is_gone_is_replaced) {
    EXPECT_EQ(taken(options()), "second");
    cudnn.plans = {{"new", 40}, {"newer", 12}};
    EXPECT_EQ(taken(options()), "newer");
    cudnn.plans[0].milliseconds = 0;
    EXPECT_EQ(taken(options()), "newer") << "remembered in the other's place";
}

TEST_F(cuda_convolutions, plans_that_do_not_work_are_not_taken) {
    cudnn.plans[0].works = cudnn.plans[1].works = false;
    EXPECT_EQ(taken(options()), "third");
    cudnn.plans = {{"broken", 1, 0, false}, {"too", 1, 0, false}};
    problem_.shape.batch = 3;
    EXPECT_THAT(test::message_of<environment_error>([&] { (void)timed(options()); }),
                HasSubstr("forward 3x8x5x7 to 16 by 3x3"));
}

TEST_F(cuda_convolutions, plans_keep_to_the_workspace) {
    cuda_host::set_memory(std::size_t{16} << 30);
    cudnn.plans[1].workspace_bytes = std::size_t{400} << 20;
    EXPECT_EQ(taken({}), "first");
    cudnn.plans[0].workspace_bytes = cudnn.plans[2].workspace_bytes = std::size_t{300} << 20;
    EXPECT_EQ(make_cudnn_convolutions(nullptr, {})->plan(problem_)->workspace_bytes(), std::size_t{300} << 20)
        << "all need more";
    EXPECT_EQ(cudnn.workspace_limit, std::size_t{256} << 20);
    auto large = options();
    large.tune = false;
    large.workspace_bytes = std::size_t{500} << 20;
    EXPECT_THAT(timed(large), IsEmpty());
}

TEST_F(cuda_convolutions, no_plan_at_all_is_an_error_that_names_the_problem) {
    cudnn.plans.clear();
    EXPECT_THAT(test::message_of<environment_error>([&] { (void)timed({}); }),
                AllOf(HasSubstr("no plan"), HasSubstr("forward 2x8x5x7")));
}

TEST_F(cuda_convolutions, plans_need_less_workspace_after_it_was_asked_for) {
    cuda_host::set_memory(std::size_t{16} << 30);
    cudnn.plans[1].workspace_bytes = std::size_t{100} << 20;
    const auto convolve = make_cudnn_convolutions(nullptr, options());
    const auto before = convolve->plan(problem_);
    EXPECT_EQ(before->workspace_bytes(), std::size_t{100} << 20) << "the second, which is the fastest";
    EXPECT_TRUE(convolve->reduce_workspaces());
    const auto after = convolve->plan(problem_);
    EXPECT_EQ(cudnn.workspace_limit, std::size_t{64} << 20);
    EXPECT_EQ(after->workspace_bytes(), 0U);
    EXPECT_EQ(before->workspace_bytes(), std::size_t{100} << 20) << "what is prepared stays";
    EXPECT_TRUE(convolve->reduce_workspaces());
    EXPECT_FALSE(convolve->reduce_workspaces());
    EXPECT_THAT(timed(options()), IsEmpty());
    EXPECT_EQ(make_cudnn_convolutions(nullptr, options())->plan(problem_)->workspace_bytes(),
              std::size_t{100} << 20)
        << "what was chosen before is remembered apart";
}

TEST_F(cuda_convolutions, without_memory_for_timing_the_first_plan_is_taken_for_good) {
    const auto before = cuda_host::in_use();
    for (const int successes : {0, 1, 2, 3}) {
        cuda_host::fail_next("cudaMalloc", cudaErrorMemoryAllocation, successes);
        problem_.shape.batch = 10 + successes;
        EXPECT_THAT(timed(options()), IsEmpty());
    }
    EXPECT_EQ(taken(options()), "first");
    EXPECT_THAT(timed(options()), IsEmpty()) << "runs repeat";
    EXPECT_EQ(cuda_host::in_use(), before);
}

TEST_F(cuda_convolutions, times_over_data_in_all_of_the_tensors) {
    problem_ = {convolution_kind::backward_data, {3, 8, 61, 67, 16, 3, 1, 1}, dtype::f16};
    const auto elements_dy = static_cast<std::size_t>(problem_.shape.y().elements());
    const auto elements_w = static_cast<std::size_t>(problem_.shape.w().elements());
    ASSERT_GT(elements_dy, std::size_t{1} << 17) << "more than what is made on the host, more than once";
    const auto expect_normal = [](const std::byte* values, std::size_t count) {
        double sum_of_squares = 0;
        for (std::size_t i = 0; i < count; ++i) {
            std::uint16_t bits = 0;
            std::memcpy(&bits, values + 2 * i, 2);
            const auto value = static_cast<double>(float_of_half(bits));
            sum_of_squares += value * value;
        }
        EXPECT_NEAR(sum_of_squares / static_cast<double>(count), 1, 0.1);
    };
    int checked = 0;
    cudnn.compute = [&](const convolution_operands& on) {
        if (++checked > 1) return;
        expect_normal(on.a, elements_dy);
        expect_normal(on.b, elements_w);
        std::memset(on.result, 1, 2 * static_cast<std::size_t>(problem_.shape.x().elements()));
    };
    const auto before = cuda_host::in_use();
    EXPECT_THAT(timed(options()), ::testing::Contains("third"));
    EXPECT_GT(checked, 3);
    EXPECT_EQ(cuda_host::in_use(), before) << "all memory is given back";
}

TEST_F(cuda_convolutions, a_fault_of_the_device_ends_the_timing) {
    cuda_host::fail_next("cudaEventSynchronize", cudaErrorIllegalAddress, 1);
    EXPECT_THAT(test::message_of<environment_error>([&] { (void)timed(options()); }), HasSubstr("timing"));
}

TEST_F(cuda_convolutions, equal_problems_share_a_plan) {
    const auto convolve = make_cudnn_convolutions(nullptr, {});
    EXPECT_EQ(convolve->description(), "cuDNN 9.99.0");
    const auto plan = convolve->plan(problem_);
    EXPECT_EQ(convolve->plan(problem_), plan);
    auto other = problem_;
    other.activations = dtype::f16;
    EXPECT_NE(convolve->plan(other), plan);
    other = problem_;
    other.kind = convolution_kind::backward_weights;
    EXPECT_NE(convolve->plan(other), plan);
}

// All 65,536 values of 16 bits, from the workspace to float32.
TEST_F(cuda_convolutions, a_16_bit_gradient_of_weights_is_widened) {
    constexpr std::size_t count = 1 << 16;
    cudnn.plans = {{"only", 0, 1000}};
    cudnn.compute = [](const convolution_operands& on) {
        for (std::size_t i = 0; i < count; ++i) {
            const auto bits = static_cast<std::uint16_t>(i);
            std::memcpy(on.result + 2 * i, &bits, 2);
        }
    };
    for (const dtype activations : {dtype::bf16, dtype::f16}) {
        SCOPED_TRACE(name_of(activations));
        problem_ = {convolution_kind::backward_weights, {1, 256, 4, 4, 256, 1, 1, 0}, activations};
        const auto convolve = make_cudnn_convolutions(nullptr, {});
        const auto plan = convolve->plan(problem_);
        EXPECT_EQ(plan->workspace_bytes(), 2 * count + 1000);
        const device_buffer result = make_device_buffer(4 * count),
                            workspace = make_device_buffer(plan->workspace_bytes());
        plan->execute({.result = result.get()}, workspace.get(), nullptr);
        std::vector<float> values(count);
        check(cudaMemcpy(values.data(), result.get(), 4 * count, cudaMemcpyDeviceToHost), "reading");
        for (std::size_t i = 0; i < count; ++i) {
            const auto bits = static_cast<std::uint16_t>(i);
            const float expected = activations == dtype::bf16 ? float_of_bfloat16(bits) : float_of_half(bits);
            if (std::isnan(expected))
                ASSERT_TRUE(std::isnan(values[i])) << i;
            else
                ASSERT_EQ(std::bit_cast<std::uint32_t>(values[i]), std::bit_cast<std::uint32_t>(expected))
                    << i;
        }
    }
    problem_.activations = dtype::f32;
    EXPECT_EQ(make_cudnn_convolutions(nullptr, {})->plan(problem_)->workspace_bytes(), 1000U);
}

} // namespace
} // namespace petnet::kernels::cuda
