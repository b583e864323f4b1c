// SPDX-License-Identifier: Apache-2.0
#include "kernels/cuda/plan_choice.hpp"

#include <gtest/gtest.h>

#include <limits>
#include <vector>

namespace petnet::kernels::cuda {
namespace {

constexpr double broken = std::numeric_limits<double>::infinity();

// Plans that take always the same time; counts how often each is run.
struct steady_plans {
    std::vector<double> milliseconds;
    std::vector<int> runs = std::vector<int>(milliseconds.size());
    std::size_t choice = 0;

    explicit steady_plans(std::vector<double> times) : milliseconds(std::move(times)) {
        choice = choose_plan(milliseconds.size(), [this](std::size_t i) {
            ++runs[i];
            return milliseconds[i];
        });
    }
};

TEST(cuda_plan_choice, the_fastest_wins) {
    EXPECT_EQ(steady_plans({1.0, 0.9, 0.8, 0.85}).choice, 2U);
    EXPECT_EQ(steady_plans({1.0, 0.8, 0.8}).choice, 1U) << "of equal ones the one ranked first";
}

TEST(cuda_plan_choice, the_first_one_stays_unless_another_is_clearly_faster) {
    EXPECT_EQ(steady_plans({1.0, 0.98}).choice, 0U);
    EXPECT_EQ(steady_plans({1.0, 0.96}).choice, 1U);
    EXPECT_EQ(steady_plans({1.0, 1.0}).choice, 0U);
    EXPECT_EQ(steady_plans({1.0}).choice, 0U);
}

TEST(cuda_plan_choice, plans_that_do_not_work_are_not_chosen) {
    EXPECT_EQ(steady_plans({broken, 2.0, 1.99}).choice, 2U) << "no plan is privileged then";
    EXPECT_EQ(steady_plans({1.0, broken}).choice, 0U);
    EXPECT_EQ(steady_plans({broken, broken}).choice, 2U);
    EXPECT_EQ(steady_plans({}).choice, 0U);
    EXPECT_EQ(steady_plans({broken, 1.0}).runs[0], 1) << "and not tried again";
}

TEST(cuda_plan_choice, a_plan_that_fails_later_is_not_chosen) {
    int runs = 0;
    EXPECT_EQ(choose_plan(2, [&](std::size_t i) { return i == 1 ? (++runs == 5 ? broken : 0.1) : 0.12; }),
              0U);
    EXPECT_EQ(runs, 5);
}

TEST(cuda_plan_choice, hopeless_plans_leave_after_two_rounds) {
    const steady_plans race({1.0, 1.4, 1.6, 20.0});
    EXPECT_EQ(race.runs, (std::vector<int>{timing_rules{}.rounds, timing_rules{}.rounds, 2, 2}));
    EXPECT_EQ(race.choice, 0U);
    EXPECT_EQ(steady_plans({20.0, 1.0}).choice, 1U) << "the first one too";
}

TEST(cuda_plan_choice, one_bad_sample_changes_nothing) {
    // Each plan's first run loads its code.
    std::vector<int> runs(3);
    EXPECT_EQ(choose_plan(3,
                          [&](std::size_t i) {
                              const double usual[] = {1.0, 0.9, 0.8};
                              return ++runs[i] == 1 ? 500.0 : usual[i];
                          }),
              2U);
    // A clock that slows down hits all alike; one sample is much too good.
    int samples = 0;
    EXPECT_EQ(choose_plan(2,
                          [&](std::size_t i) {
                              ++samples;
                              if (samples == 8) return 0.7; // of plan 1
                              return (i == 0 ? 1.0 : 0.99) * (1 + 0.02 * samples);
                          }),
              0U);
}

TEST(cuda_plan_choice, plans_are_run_in_turns) {
    std::vector<std::size_t> order;
    (void)choose_plan(3,
                      [&](std::size_t i) {
                          order.push_back(i);
                          return 1.0;
                      },
                      {.rounds = 2});
    EXPECT_EQ(order, (std::vector<std::size_t>{0, 1, 2, 0, 1, 2}));
}

} // namespace
} // namespace petnet::kernels::cuda
