// SPDX-License-Identifier: Apache-2.0
// The gate on a clock that is made up: what it must catch, and what it must not say. gate_processes_test.cpp
// has real processes.
#include "bench/gate.hpp"

#include "base/random.hpp"

#include <algorithm>
#include <gtest/gtest.h>

using namespace petnet;
using namespace petnet::bench;

namespace {

constexpr int repetitions = 20;

// Two programs with the same cases, from 2 us to 2 s. Each run's medians vary by 0.5 %, as on an idle
// machine; a case may be slower in the head, or run on a core that something else uses half of the time.
class made_up_programs {
  public:
    static constexpr int case_count = 40;

    explicit made_up_programs(int repetition)
        : key_(random_key(7).child(static_cast<std::uint64_t>(repetition))) {}

    void slow_down(int number, double factor) { slowed_ = number, factor_ = factor; }
    void make_busy(int number) { busy_ = number; }
    void remove_from_head(int number) { removed_ = number; }

    static std::string name(int number) { return "case/" + std::to_string(number); }

    run_result operator()(side of, const std::vector<std::string>& only) {
        ++runs_;
        run_result result{.cases = {}, .timer_seconds = 50e-9};
        for (int i = 0; i < case_count; ++i) {
            if (of == side::head && i == removed_) continue;
            if (!only.empty() && std::ranges::find(only, name(i)) == only.end()) continue;
            const random_key drawn =
                key_.child(static_cast<std::uint64_t>(runs_)).child(static_cast<std::uint64_t>(i));
            double seconds = (2e-6 + (i % 7) * 3e-2) * (1 + 0.005 * drawn.normal(0));
            if (i == slowed_ && of == side::head) seconds *= factor_;
            if (i == busy_ && drawn.uniform(9) < 0.5) seconds *= 1 + drawn.uniform(10);
            result.cases.push_back({name(i), seconds});
        }
        return result;
    }

    [[nodiscard]] int runs() const { return runs_; }

  private:
    random_key key_;
    int slowed_ = -1, busy_ = -1, removed_ = -1, runs_ = 0;
    double factor_ = 1;
};

gate_result gate(made_up_programs& programs, int seed) {
    return run_gate({.seed = static_cast<std::uint64_t>(seed)},
                    [&](side of, const std::vector<std::string>& only) { return programs(of, only); });
}

verdict verdict_of(const gate_result& result, int number) {
    return std::ranges::find(result.cases, made_up_programs::name(number), &gate_result::judged_case::name)
        ->found();
}

TEST(gate, accuses_nothing_where_nothing_changed) {
    for (int i = 0; i < repetitions; ++i) {
        made_up_programs programs(i);
        const gate_result result = gate(programs, i);
        EXPECT_EQ(result.count(verdict::same), made_up_programs::case_count) << "repetition " << i;
        EXPECT_TRUE(result.passed());
        EXPECT_EQ(programs.runs(), 15) << "no second round where there is nothing to confirm";
    }
}

TEST(gate, catches_five_per_cent_each_time) {
    for (int i = 0; i < repetitions; ++i) {
        made_up_programs programs(i);
        programs.slow_down(i, 1.05);
        const gate_result result = gate(programs, i);
        EXPECT_EQ(verdict_of(result, i), verdict::slower) << "repetition " << i;
        EXPECT_EQ(result.count(verdict::slower), 1);
        EXPECT_EQ(result.count(verdict::same), made_up_programs::case_count - 1);
        EXPECT_FALSE(result.passed());
    }
}

TEST(gate, praises_what_became_faster) {
    made_up_programs programs(1);
    programs.slow_down(3, 0.9);
    const gate_result result = gate(programs, 1);
    EXPECT_EQ(verdict_of(result, 3), verdict::faster);
    EXPECT_TRUE(result.passed());
}

TEST(gate, leaves_less_than_three_per_cent_alone) {
    made_up_programs programs(1);
    programs.slow_down(3, 1.015);
    EXPECT_EQ(gate(programs, 1).count(verdict::same), made_up_programs::case_count);
}

TEST(gate, calls_a_busy_core_unclear) {
    for (int i = 0; i < repetitions; ++i) {
        made_up_programs programs(i);
        programs.make_busy(i);
        const gate_result result = gate(programs, i);
        EXPECT_EQ(verdict_of(result, i), verdict::unclear) << "repetition " << i;
        EXPECT_TRUE(result.passed());
    }
}

TEST(gate, catches_five_per_cent_beside_a_busy_core) {
    made_up_programs programs(2);
    programs.make_busy(4);
    programs.slow_down(9, 1.05);
    const gate_result result = gate(programs, 2);
    EXPECT_EQ(verdict_of(result, 4), verdict::unclear);
    EXPECT_EQ(verdict_of(result, 9), verdict::slower);
}

// 5 % of 2 us is less than a clock that errs by 0.2 us can show.
TEST(gate, believes_nothing_below_the_clock) {
    made_up_programs programs(1);
    programs.slow_down(0, 1.05);
    const gate_result result =
        run_gate({.allowed = {.timer_seconds = 0.2e-6}},
                 [&](side of, const std::vector<std::string>& only) { return programs(of, only); });
    EXPECT_EQ(verdict_of(result, 0), verdict::same);
}

// The head was slower while something else ran, and in the second round is not.
TEST(gate, wants_a_slow_down_confirmed) {
    made_up_programs programs(1);
    const gate_result result = run_gate({}, [&](side of, const std::vector<std::string>& only) {
        programs.slow_down(3, programs.runs() < 15 ? 1.2 : 1);
        return programs(of, only);
    });
    EXPECT_EQ(programs.runs(), 30);
    EXPECT_EQ(verdict_of(result, 3), verdict::unclear);
    EXPECT_TRUE(result.passed());
}

TEST(gate, fails_where_a_case_vanished) {
    made_up_programs programs(1);
    programs.remove_from_head(5);
    const gate_result result = gate(programs, 1);
    EXPECT_EQ(result.vanished, std::vector<std::string>{"case/5"});
    EXPECT_FALSE(result.passed());
    EXPECT_EQ(result.cases.size(), made_up_programs::case_count - 1);
}

TEST(gate, names_cases_that_are_new) {
    made_up_programs programs(1);
    programs.remove_from_head(5);
    const gate_result result = run_gate({}, [&](side of, const std::vector<std::string>& only) {
        return programs(of == side::base ? side::head : side::base, only);
    });
    EXPECT_EQ(result.appeared, std::vector<std::string>{"case/5"});
    EXPECT_TRUE(result.passed());
}

TEST(gate, refuses_programs_that_are_no_bench) {
    const auto nothing = [](side, const std::vector<std::string>&) { return run_result{}; };
    EXPECT_THROW(static_cast<void>(run_gate({}, nothing)), broken_program);
    int run = 0;
    const auto unsteady = [&](side, const std::vector<std::string>&) {
        return run_result{.cases = {{"case/" + std::to_string(run++), 1}}};
    };
    EXPECT_THROW(static_cast<void>(run_gate({}, unsteady)), broken_program);
    const auto timeless = [](side, const std::vector<std::string>&) {
        return run_result{.cases = {{"case", 0}}};
    };
    EXPECT_THROW(static_cast<void>(run_gate({}, timeless)), broken_program);
}

// Base, base again and head do not take turns in the same order.
TEST(gate, draws_the_order_of_runs) {
    const auto order_of = [](std::uint64_t seed) {
        std::string order;
        static_cast<void>(run_gate({.seed = seed}, [&](side of, const std::vector<std::string>&) {
            order += of == side::base ? 'b' : 'h';
            return run_result{.cases = {{"case", 1}}};
        }));
        return order;
    };
    EXPECT_EQ(order_of(1).size(), 15U);
    EXPECT_EQ(order_of(1), order_of(1));
    EXPECT_NE(order_of(1), order_of(2));
    EXPECT_NE(order_of(1).substr(0, 3), order_of(1).substr(3, 3));
}

} // namespace
