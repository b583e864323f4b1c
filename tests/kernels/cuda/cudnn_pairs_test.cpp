// SPDX-License-Identifier: Apache-2.0
// Which pairs of operations are fused, and which choices are remembered, over a made-up cuDNN. On the host's
// emulation of CUDA.
#include "tests/kernels/cuda/made_up_cudnn.hpp"

#include <gmock/gmock.h>

#include <algorithm>
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
        std::string name = name_of(plan);
        cuda_host::reset(); // what was queued only sleeps
        return name;
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

} // namespace
} // namespace petnet::kernels::cuda
