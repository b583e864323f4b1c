// SPDX-License-Identifier: Apache-2.0
// How plans are chosen, remembered and executed, over a cuDNN that this file makes up: its plans take the
// time they are told to. On the host's emulation of CUDA.
#include "kernels/cuda/cudnn_convolutions.hpp"

#include "base/errors.hpp"
#include "base/float16.hpp"
#include "cuda_host/control.hpp"
#include "kernels/cuda/cudnn_graph.hpp"
#include "kernels/cuda/cudnn_library.hpp"
#include "kernels/cuda/resources.hpp"
#include "tests/data/test_folder.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <bit>
#include <chrono>
#include <cmath>
#include <cstring>
#include <functional>
#include <limits>
#include <thread>
#include <vector>

struct cudnnContext {};

namespace petnet::kernels::cuda {
namespace {

struct made_up_plan {
    std::string name;
    double milliseconds = 0;
    std::size_t workspace_bytes = 0;
    bool works = true;
};

// The made-up cuDNN, and what was asked of it.
struct made_up_cudnn {
    std::vector<made_up_plan> plans;
    std::function<void(const std::byte* a, const std::byte* b, std::byte* result)> compute;
    std::vector<std::string> executed;
    std::size_t workspace_limit = 0;
    bool tf32 = false;
    int graphs = 0;
};
made_up_cudnn cudnn;

} // namespace

const cudnn_library& load_cudnn() {
    static const cudnn_library library{nullptr, "9.99.0"};
    return library;
}
std::string cudnn_frontend_version() { return "1.99.0"; }

cudnn_handle::cudnn_handle() : handle_(new cudnnContext) {}
cudnn_handle::~cudnn_handle() { delete handle_; }
void cudnn_handle::set_stream(cudaStream_t on_stream) { stream_ = on_stream; }

class cudnn_graph::implementation {};
cudnn_graph::cudnn_graph(const cudnn_handle&, const stored_convolution&, bool tf32) {
    cudnn.tf32 = tf32;
    ++cudnn.graphs;
}
cudnn_graph::~cudnn_graph() = default;

std::vector<cudnn_plan> cudnn_graph::plans(std::size_t limit, std::size_t workspace_bytes) {
    cudnn.workspace_limit = workspace_bytes;
    std::vector<cudnn_plan> found;
    for (std::size_t i = 0; i < cudnn.plans.size() && found.size() < limit; ++i)
        if (const made_up_plan& plan = cudnn.plans[i]; plan.workspace_bytes <= workspace_bytes)
            found.push_back({static_cast<std::int64_t>(i), plan.name, plan.workspace_bytes});
    return found;
}
std::optional<cudnn_plan> cudnn_graph::plan(const std::string& name) {
    for (const cudnn_plan& plan : plans(cudnn.plans.size(), std::numeric_limits<std::size_t>::max()))
        if (plan.name == name) return plan;
    return std::nullopt;
}

void cudnn_graph::execute(const cudnn_handle&, const cudnn_plan& plan, const std::byte* a, const std::byte* b,
                          std::byte* result, std::byte* workspace) {
    cudnn.executed.push_back(plan.name);
    const made_up_plan& made_up = cudnn.plans.at(static_cast<std::size_t>(plan.index));
    if (!made_up.works) throw environment_error("cuDNN: executing failed: made up");
    cuda_host::enqueue(nullptr, [=, compute = cudnn.compute] {
        std::this_thread::sleep_for(std::chrono::duration<double, std::milli>(made_up.milliseconds));
        if (made_up.workspace_bytes > 0) std::memset(workspace, 0xEE, made_up.workspace_bytes);
        if (compute) compute(a, b, result);
    });
}

namespace {

using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

class cuda_convolutions : public ::testing::Test {
  protected:
    // Far enough apart, in milliseconds, that a busy machine does not change the order.
    cuda_convolutions() { cudnn = {.plans = {{"first", 45}, {"second", 12}, {"third", 30}}}; }
    ~cuda_convolutions() override { cuda_host::reset(); }

    [[nodiscard]] cudnn_options options() {
        return {.cache_folder = folder_.path() / "cache",
                .on_warning = [this](const std::string& warning) { warnings_.push_back(warning); }};
    }
    // The plan that a new run takes for a problem.
    [[nodiscard]] std::string taken(const cudnn_options& options) {
        const auto convolve = make_cudnn_convolutions(nullptr, options);
        const auto plan = convolve->plan(problem_);
        cudnn.executed.clear();
        plan->execute(nullptr, nullptr, nullptr, nullptr, nullptr);
        check(cudaStreamSynchronize(nullptr), "executing");
        return cudnn.executed.at(0);
    }
    // The plans that are timed when a run starts.
    [[nodiscard]] std::vector<std::string> timed(const cudnn_options& options) {
        cudnn.executed.clear();
        (void)make_cudnn_convolutions(nullptr, options)->plan(problem_);
        return cudnn.executed;
    }

    test::temporary_folder folder_;
    std::vector<std::string> warnings_;
    stored_convolution problem_{convolution_kind::forward, {2, 8, 5, 7, 16, 3, 1, 1}, dtype::bf16};
};

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
    cudnn.plans[0].workspace_bytes = cudnn.plans[2].workspace_bytes = std::size_t{400} << 20;
    EXPECT_THAT(test::message_of<environment_error>([&] { (void)timed({}); }),
                AllOf(HasSubstr("256 MB"), HasSubstr("forward 2x8x5x7")));
    EXPECT_EQ(cudnn.workspace_limit, std::size_t{256} << 20);
    auto large = options();
    large.tune = false;
    large.workspace_bytes = std::size_t{500} << 20;
    EXPECT_THAT(timed(large), IsEmpty());
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
    cudnn.compute = [&](const std::byte* a, const std::byte* b, std::byte* result) {
        if (++checked > 1) return;
        expect_normal(a, elements_dy);
        expect_normal(b, elements_w);
        std::memset(result, 1, 2 * static_cast<std::size_t>(problem_.shape.x().elements()));
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
    cudnn.compute = [](const std::byte*, const std::byte*, std::byte* result) {
        for (std::size_t i = 0; i < count; ++i) {
            const auto bits = static_cast<std::uint16_t>(i);
            std::memcpy(result + 2 * i, &bits, 2);
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
        plan->execute(nullptr, nullptr, result.get(), workspace.get(), nullptr);
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
