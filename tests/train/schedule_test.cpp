// SPDX-License-Identifier: Apache-2.0
#include "train/schedule.hpp"

#include "tests/support/golden.hpp"
#include "train/metrics.hpp"

#include <fstream>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

using namespace petnet;
using namespace petnet::train;

// Every step of real fine_tune calls.
TEST(schedule, golden_schedules) {
    const auto runs = nlohmann::json::parse(std::ifstream(petnet::testing::golden_dir() / "schedules.json"));
    ASSERT_FALSE(runs.empty());
    for (const auto& run : runs) {
        const auto& args = run.at("args");
        const std::int64_t batches = run.at("batches_per_epoch");
        const auto phases =
            fine_tune_phases(args.at("epochs"), args.value("base_lr", 2e-3), args.value("freeze_epochs", 1));
        std::size_t row = 0;
        for (const training_phase& phase : phases) {
            const std::int64_t total = phase.epochs * batches;
            for (std::int64_t step = 0; step < total; ++step, ++row) {
                const auto& expected = run.at("lr_mom_per_step").at(row);
                const hyperparameters h = phase.at(step, total);
                for (std::size_t g = 0; g < h.lr.size(); ++g) {
                    const double lr = expected.at(0).at(g);
                    EXPECT_NEAR(h.lr[g], lr, 1e-6 * lr) << "row " << row << " group " << g;
                }
                const double mom = expected.at(1);
                EXPECT_NEAR(h.mom, mom, 1e-6 * mom) << "row " << row;
            }
        }
        EXPECT_EQ(row, run.at("lr_mom_per_step").size());
    }
}

TEST(schedule, phases_of_zero_epochs_are_left_out) {
    EXPECT_EQ(fine_tune_phases(3, 2e-3, 0).size(), 1u);
    EXPECT_EQ(fine_tune_phases(0, 2e-3, 2).size(), 1u);
}

TEST(schedule, a_constant_loss_is_its_own_average) {
    smoothed_loss average;
    for (int i = 0; i < 5; ++i) {
        average.add(0.7);
        EXPECT_NEAR(average.value(), 0.7, 1e-12);
    }
}
