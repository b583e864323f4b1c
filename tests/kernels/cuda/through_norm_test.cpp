// SPDX-License-Identifier: Apache-2.0
// Blocks that read through their inner batch norm: that a trial finds what is wrong, and when there is one.
// Our kernels on the host's emulation of CUDA, cuDNN's in plain loops.
#include "kernels/cuda/through_norm.hpp"

#include "kernels/cuda/resources.hpp"
#include "tests/kernels/cuda/spoilt_plan.hpp"

#include <gtest/gtest.h>

#include <limits>
#include <string>
#include <vector>

namespace petnet::testing {
namespace {

using namespace kernels;
using cuda::convolution_operands;
using cuda::convolution_plan;

// Plain convolutions, some of which do something to their results.
class spoilt_convolutions final : public cuda::convolutions {
  public:
    using is_spoilt = std::function<bool(const cuda::stored_convolution&)>;
    spoilt_convolutions(is_spoilt which, spoilt_plan::spoil how)
        : which_(std::move(which)), how_(std::move(how)) {}
    [[nodiscard]] std::shared_ptr<convolution_plan> plan(const cuda::stored_convolution& problem) override {
        auto right = cuda::make_plain_plan(problem);
        return which_(problem) ? std::make_shared<spoilt_plan>(std::move(right), how_) : std::move(right);
    }
    [[nodiscard]] std::shared_ptr<convolution_plan>
    plan_of_pair(const cuda::stored_convolution& problem, const std::string&,
                 const std::function<std::unique_ptr<cuda::pair_trial>()>&) override {
        return plan(problem);
    }
    [[nodiscard]] bool can_fuse(const cuda::stored_convolution& problem) override {
        asked_.push_back(problem);
        return asked_.size() <= can_fuse_;
    }
    [[nodiscard]] bool
    takes_alternative(const std::string& ways,
                      const std::function<std::unique_ptr<cuda::alternative_trial>()>& make_trial) override {
        ways_.push_back(ways);
        const auto trial = make_trial();
        return trial && trial->agrees();
    }
    [[nodiscard]] bool reduce_workspaces() override { return false; }
    [[nodiscard]] std::string description() const override { return "spoilt"; }

    std::size_t can_fuse_ = 2; // so many questions are answered by yes
    std::vector<cuda::stored_convolution> asked_;
    std::vector<std::string> ways_;

  private:
    is_spoilt which_;
    spoilt_plan::spoil how_;
};

class cuda_through_norm : public ::testing::Test {
  protected:
    ~cuda_through_norm() override { cuda_host::reset(); }
    [[nodiscard]] bool agrees(bool trains, const spoilt_convolutions::is_spoilt& which,
                              const spoilt_plan::spoil& how) {
        spoilt_convolutions convolve(which, how);
        cuda::context context(stream_.get(), convolve);
        return cuda::make_trial_through_norm(context, shape_, dtype::f16, trains)->agrees();
    }
    static bool nothing(const cuda::stored_convolution&) { return false; }
    static bool forward(const cuda::stored_convolution& problem) {
        return problem.through_norm && problem.kind == cuda::convolution_kind::forward_and_sums;
    }
    static bool weights(const cuda::stored_convolution& problem) {
        return problem.through_norm && problem.kind == cuda::convolution_kind::backward_weights;
    }

    static constexpr convolution_shape shape_{2, 16, 9, 11, 24, 3, 1, 1};
    cuda::stream stream_ = cuda::make_stream();
    spoilt_convolutions right_{nothing, [](const convolution_operands&) {}};
    cuda::context context_{stream_.get(), right_};
};

TEST_F(cuda_through_norm, a_trial_finds_what_is_wrong) {
    EXPECT_TRUE(agrees(false, nothing, {}));
    EXPECT_TRUE(agrees(true, nothing, {}));
    for (const bool trains : {false, true}) {
        EXPECT_FALSE(agrees(trains, forward, [](const convolution_operands& on) { element(on, 5) = {}; }));
        EXPECT_FALSE(agrees(trains, forward, [](const convolution_operands& on) { on.sums[7] += 1000; }))
            << "a mean, by a third of a deviation";
    }
    const auto one_gradient = [](const convolution_operands& on) {
        reinterpret_cast<float*>(on.result)[shape_.w().elements() - 1] *= 1.5F;
    };
    EXPECT_FALSE(agrees(true, weights, one_gradient));
    EXPECT_TRUE(agrees(false, weights, one_gradient)) << "no weights are trained";
    EXPECT_FALSE(agrees(true, forward, {})) << "a plan that does not work";
}

TEST_F(cuda_through_norm, a_trial_needs_memory_and_gives_it_back) {
    const auto before = cuda_host::in_use();
    for (const bool second : {false, true}) {
        const auto trial = cuda::make_trial_through_norm(context_, shape_, dtype::f16, true);
        EXPECT_LT(trial->milliseconds(second), std::numeric_limits<double>::infinity());
    }
    for (const int successes : {0, 1, 9, 25, 26}) {
        cuda_host::fail_next("cudaMalloc", cudaErrorMemoryAllocation, successes);
        EXPECT_FALSE(cuda::make_trial_through_norm(context_, shape_, dtype::f16, true)) << successes;
    }
    cuda_host::reset();
    EXPECT_EQ(cuda_host::in_use(), before);
}

TEST_F(cuda_through_norm, what_cudnn_must_have) {
    EXPECT_TRUE(cuda::reads_through_norm(context_, shape_, dtype::f16, true));
    ASSERT_EQ(right_.asked_.size(), 2U);
    EXPECT_TRUE(forward(right_.asked_[0]));
    EXPECT_TRUE(weights(right_.asked_[1]));
    right_.asked_.clear();
    EXPECT_TRUE(cuda::reads_through_norm(context_, shape_, dtype::f16, false));
    EXPECT_EQ(right_.asked_.size(), 1U) << "no gradient is wanted";
    ASSERT_EQ(right_.ways_.size(), 2U);
    EXPECT_NE(right_.ways_[0], right_.ways_[1]);
    for (const std::size_t yes : {0U, 1U}) {
        right_.asked_.clear();
        right_.can_fuse_ = yes;
        EXPECT_FALSE(cuda::reads_through_norm(context_, shape_, dtype::f16, true)) << yes;
    }
    right_.asked_.clear();
    EXPECT_FALSE(cuda::reads_through_norm(context_, shape_, dtype::f32, true));
    EXPECT_FALSE(cuda::reads_through_norm(context_, {2, 12, 9, 11, 24, 3, 1, 1}, dtype::f16, true))
        << "padded channels";
    EXPECT_TRUE(right_.asked_.empty());
}

} // namespace
} // namespace petnet::testing
