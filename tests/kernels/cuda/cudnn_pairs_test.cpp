// SPDX-License-Identifier: Apache-2.0
// Which pairs of operations are fused, and which choices are remembered, over a made-up cuDNN. On the host's
// emulation of CUDA.
#include "tests/kernels/cuda/made_up_cudnn.hpp"

#include "base/float16.hpp"
#include "kernels/cuda/resources.hpp"

#include <gmock/gmock.h>

#include <algorithm>
#include <cstring>
#include <memory>

namespace petnet::kernels::cuda {
namespace {

using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

// The trial is made up too: what disagrees, and what the two operations take separately.
class cuda_pairs : public cuda_convolutions {
  protected:
    cuda_pairs() { problem_.kind = convolution_kind::forward_and_sums; }

    class made_up_trial final : public pair_trial {
      public:
        explicit made_up_trial(const cuda_pairs& of) : of_(of) {}
        [[nodiscard]] bool agrees(const std::shared_ptr<convolution_plan>& plan) override {
            return std::ranges::find(of_.wrong_, name_of(plan)) == of_.wrong_.end();
        }
        [[nodiscard]] double milliseconds(const std::shared_ptr<convolution_plan>& plan) override {
            if (!plan) return of_.separately_;
            return std::ranges::find(cudnn.plans, name_of(plan), &made_up_plan::name)->milliseconds;
        }

      private:
        const cuda_pairs& of_;
    };
    [[nodiscard]] static std::string name_of(const std::shared_ptr<convolution_plan>& plan) {
        if (!plan) return "none";
        plan->execute({}, nullptr, nullptr);
        return cudnn.executed.back();
    }
    // The plan that a new run takes for the pair; "none" where it stays separate.
    [[nodiscard]] std::string taken_for_pair(const cudnn_options& options) {
        trials_ = 0;
        const auto convolve = make_cudnn_convolutions(nullptr, options);
        const auto make = [this]() -> std::unique_ptr<pair_trial> {
            ++trials_;
            return has_memory_ ? std::make_unique<made_up_trial>(*this) : nullptr;
        };
        const auto plan = convolve->plan_of_pair(problem_, "a pair", make);
        const int first = trials_;
        EXPECT_EQ(convolve->plan_of_pair(problem_, "a pair", make), plan);
        EXPECT_EQ(trials_, first) << "equal pairs share a plan";
        return name_of(plan);
    }
    [[nodiscard]] cudnn_options with(fusion fuse) {
        cudnn_options changed = options();
        changed.fuse = fuse;
        return changed;
    }

    std::vector<std::string> wrong_;
    double separately_ = 20;
    bool has_memory_ = true;
    int trials_ = 0;
};

TEST_F(cuda_pairs, are_fused_where_that_is_faster_and_this_is_remembered) {
    EXPECT_EQ(taken_for_pair(options()), "second");
    EXPECT_EQ(trials_, 1);
    separately_ = 1;
    EXPECT_EQ(taken_for_pair(options()), "second");
    EXPECT_EQ(trials_, 0);
    EXPECT_THAT(warnings_, IsEmpty());
}

TEST_F(cuda_pairs, stay_separate_where_that_is_as_fast_and_this_is_remembered) {
    separately_ = 12.2; // within the margin
    EXPECT_EQ(taken_for_pair(options()), "none");
    EXPECT_EQ(trials_, 1);
    separately_ = 100;
    EXPECT_EQ(taken_for_pair(options()), "none");
    EXPECT_EQ(trials_, 0);
}

TEST_F(cuda_pairs, never_take_a_plan_that_gives_other_results) {
    separately_ = 40;
    wrong_ = {"second"};
    EXPECT_EQ(taken_for_pair(options()), "third");
    EXPECT_THAT(warnings_, ElementsAre(AllOf(HasSubstr("second"), HasSubstr("a pair"))));
    auto elsewhere = options();
    elsewhere.cache_folder = folder_.path() / "elsewhere";
    wrong_ = {"first", "second", "third"};
    EXPECT_EQ(taken_for_pair(elsewhere), "none");
    EXPECT_EQ(taken_for_pair(with(fusion::always)), "none");
}

TEST_F(cuda_pairs, stay_separate_where_cudnn_has_no_graph_or_no_plan) {
    cudnn.has_sums = false;
    EXPECT_EQ(taken_for_pair(with(fusion::always)), "none");
    EXPECT_EQ(taken_for_pair(options()), "none");
    EXPECT_EQ(trials_, 0);
    cudnn.has_sums = true;
    EXPECT_EQ(taken_for_pair(options()), "none") << "remembered";
    cudnn.plans.clear();
    EXPECT_EQ(taken_for_pair(with(fusion::always)), "none");
}

TEST_F(cuda_pairs, a_remembered_plan_that_is_gone_is_replaced) {
    EXPECT_EQ(taken_for_pair(options()), "second");
    cudnn.plans = {{"new", 19}, {"newer", 7}};
    EXPECT_EQ(taken_for_pair(options()), "newer");
    cudnn.plans[0].milliseconds = 1;
    EXPECT_EQ(taken_for_pair(options()), "newer") << "remembered in the other's place";
    cudnn.plans = {{"newest", 30}};
    EXPECT_EQ(taken_for_pair(options()), "none");
}

TEST_F(cuda_pairs, stay_separate_where_nothing_is_timed) {
    EXPECT_EQ(taken_for_pair({}), "none");
    auto quick = options();
    quick.tune = false;
    EXPECT_EQ(taken_for_pair(quick), "none");
    EXPECT_EQ(taken_for_pair(with(fusion::never)), "none");
    EXPECT_EQ(trials_, 0);
    has_memory_ = false;
    EXPECT_EQ(taken_for_pair(options()), "none");
    has_memory_ = true;
    EXPECT_EQ(taken_for_pair(options()), "none") << "for good: runs repeat";
}

TEST_F(cuda_pairs, are_always_fused_where_that_is_asked_for) {
    separately_ = 1;
    EXPECT_EQ(taken_for_pair(with(fusion::always)), "first");
    EXPECT_EQ(taken_for_pair(options()), "none") << "and nothing is remembered of it";
    wrong_ = {"first"};
    EXPECT_EQ(taken_for_pair(with(fusion::always)), "second");
}

// ---------------------------------------------------------------------------------------------------------
// Two ways to do a part of a step

class cuda_ways : public cuda_convolutions {
  protected:
    class made_up_trial final : public alternative_trial {
      public:
        explicit made_up_trial(const cuda_ways& of) : of_(of) {}
        [[nodiscard]] bool agrees() override { return of_.agrees_; }
        [[nodiscard]] double milliseconds(bool second) override { return second ? of_.second_ : 20; }

      private:
        const cuda_ways& of_;
    };
    [[nodiscard]] bool takes_second(const cudnn_options& options) {
        trials_ = 0;
        const auto convolve = make_cudnn_convolutions(nullptr, options);
        const auto make = [this]() -> std::unique_ptr<alternative_trial> {
            ++trials_;
            return has_memory_ ? std::make_unique<made_up_trial>(*this) : nullptr;
        };
        const bool second = convolve->takes_alternative("two ways", make);
        const int first = trials_;
        EXPECT_EQ(convolve->takes_alternative("two ways", make), second);
        EXPECT_EQ(trials_, first) << "asked once";
        return second;
    }
    [[nodiscard]] cudnn_options with(fusion fuse) {
        cudnn_options changed = options();
        changed.fuse = fuse;
        return changed;
    }

    double second_ = 10;
    bool agrees_ = true, has_memory_ = true;
    int trials_ = 0;
};

TEST_F(cuda_ways, the_second_is_taken_where_it_is_faster_and_this_is_remembered) {
    EXPECT_TRUE(takes_second(options()));
    EXPECT_EQ(trials_, 1);
    second_ = 30;
    EXPECT_TRUE(takes_second(options()));
    EXPECT_EQ(trials_, 0);
    EXPECT_THAT(warnings_, IsEmpty());
}

TEST_F(cuda_ways, the_first_is_taken_where_it_is_as_fast_and_this_is_remembered) {
    second_ = 19.8; // within the margin
    EXPECT_FALSE(takes_second(options()));
    second_ = 1;
    EXPECT_FALSE(takes_second(options()));
    EXPECT_EQ(trials_, 0);
}

TEST_F(cuda_ways, that_differ_are_not_taken) {
    agrees_ = false;
    EXPECT_FALSE(takes_second(options()));
    EXPECT_THAT(warnings_, ElementsAre(HasSubstr("two ways: the alternative gives other results")));
    EXPECT_FALSE(takes_second(with(fusion::always)));
}

TEST_F(cuda_ways, are_not_tried_where_nothing_is_timed) {
    EXPECT_FALSE(takes_second({}));
    EXPECT_FALSE(takes_second(with(fusion::never)));
    EXPECT_EQ(trials_, 0);
    has_memory_ = false;
    EXPECT_FALSE(takes_second(options()));
    has_memory_ = true;
    EXPECT_FALSE(takes_second(options())) << "for good: runs repeat";
}

TEST_F(cuda_ways, the_second_is_always_taken_where_that_is_asked_for) {
    second_ = 100;
    EXPECT_TRUE(takes_second(with(fusion::always)));
    EXPECT_FALSE(takes_second(options())) << "and nothing is remembered of it";
}

// ---------------------------------------------------------------------------------------------------------
// Convolutions through a batch norm

TEST_F(cuda_convolutions, read_through_a_batch_norm_where_that_may_be_timed) {
    problem_ = {convolution_kind::backward_weights, {2, 8, 5, 7, 16, 3, 1, 1}, dtype::f16, true};
    EXPECT_TRUE(make_cudnn_convolutions(nullptr, options())->plan(problem_));
    EXPECT_THAT(cudnn.executed, ::testing::Contains("third"));
    cudnn.executed.clear();
    EXPECT_FALSE(make_cudnn_convolutions(nullptr, {})->plan(problem_));
    EXPECT_FALSE(make_cudnn_convolutions(nullptr, {})->can_fuse(problem_));
    auto never = options();
    never.fuse = fusion::never;
    EXPECT_FALSE(make_cudnn_convolutions(nullptr, never)->plan(problem_));
    EXPECT_TRUE(make_cudnn_convolutions(nullptr, options())->can_fuse(problem_));
    cudnn.plans.clear();
    EXPECT_FALSE(make_cudnn_convolutions(nullptr, options())->plan(problem_)) << "cuDNN has none";
    EXPECT_FALSE(make_cudnn_convolutions(nullptr, options())->can_fuse(problem_));
    EXPECT_THAT(cudnn.executed, IsEmpty());
}

// Scale and shift come as float32, and cuDNN gets them in 16 bits.
TEST_F(cuda_convolutions, scale_and_shift_are_rounded_for_cudnn) {
    constexpr std::size_t channels = 8;
    std::vector<float> given(2 * channels);
    for (std::size_t i = 0; i < given.size(); ++i) given[i] = 1.0F / static_cast<float>(3 + i) - 0.2F;
    given[0] = 1e-9F; // below the smallest float16
    given[1] = 70000; // and above the largest
    cudnn.plans = {{"only", 0, 64}};
    for (const dtype activations : {dtype::bf16, dtype::f16}) {
        problem_ = {convolution_kind::forward_and_sums, {2, 8, 5, 7, 16, 3, 1, 1}, activations, true};
        std::vector<std::uint16_t> got(given.size()), expected(given.size());
        for (std::size_t i = 0; i < given.size(); ++i)
            expected[i] = activations == dtype::bf16 ? bfloat16_of_float(given[i]) : half_of_float(given[i]);
        cudnn.compute = [&](const convolution_operands& on) {
            std::memcpy(got.data(), on.scale_and_shift, 2 * got.size());
        };
        const device_buffer vectors = make_device_buffer(4 * given.size());
        check(cudaMemcpy(vectors.get(), given.data(), 4 * given.size(), cudaMemcpyHostToDevice), "copying");
        const auto convolve = make_cudnn_convolutions(nullptr, {.fuse = fusion::always});
        const auto plan = convolve->plan(problem_);
        const device_buffer workspace = make_device_buffer(plan->workspace_bytes());
        plan->execute({.scale_and_shift = vectors.get()}, workspace.get(), nullptr);
        check(cudaStreamSynchronize(nullptr), "executing");
        EXPECT_EQ(got, expected) << name_of(activations);
    }
}

} // namespace
} // namespace petnet::kernels::cuda
