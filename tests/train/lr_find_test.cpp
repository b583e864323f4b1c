// SPDX-License-Identifier: Apache-2.0
// The mock steps against a plain loop: the same losses at the same rates, over several epochs.
#include "train/lr_find.hpp"

#include "tests/train/plain_training.hpp"

#include <cmath>

using namespace petnet;
using namespace petnet::train;
using petnet::testing::step_record;

namespace {

class lr_find : public petnet::testing::plain_training {};

TEST_F(lr_find, the_plain_loop_s_bits_until_stopped) {
    constexpr std::int64_t count = 3 * steps - 1; // in the midst of the third epoch
    const trained actual = begin(), expected = begin();
    std::int64_t told = 0;
    const lr_find_result result =
        find_lr(setup_of(actual),
                {.on_step = [&](const lr_curve& curve) { EXPECT_EQ(++told, std::ssize(curve.points())); },
                 .stop_requested = [&] { return told == count; }});
    EXPECT_FALSE(result.finished);
    const std::vector<step_record> plain =
        plain_phase(expected, model::phase::frozen, 0, count, [](std::int64_t i) {
            hyperparameters hyper{.mom = 0.9};
            hyper.lr.fill(1e-7 * std::pow(1e8, static_cast<double>(i) / 100));
            return hyper;
        });
    ASSERT_EQ(std::ssize(result.curve.points()), count);
    smoothed_loss smoothed;
    for (std::size_t i = 0; i < plain.size(); ++i) {
        smoothed.add(static_cast<double>(plain[i].loss));
        EXPECT_EQ(result.curve.points()[i].loss, smoothed.value()) << "step " << i;
        EXPECT_NEAR(result.curve.points()[i].lr, plain[i].hyper.lr[0], 1e-12 * plain[i].hyper.lr[0]);
    }
    expect_same(actual, expected);
}

class lr_find_of_a_small_network : public petnet::testing::plain_training {
  protected:
    lr_find_of_a_small_network() : plain_training(small()) {}
};

TEST_F(lr_find_of_a_small_network, ends_by_itself) {
    const trained run = begin();
    std::int64_t asked = 0;
    const lr_find_result result = find_lr(
        setup_of(run), {.on_step = [](const lr_curve&) {}, .stop_requested = [&] { return ++asked, false; }});
    EXPECT_TRUE(result.finished);
    EXPECT_TRUE(result.curve.complete());
    EXPECT_EQ(asked, std::ssize(result.curve.points())) << "steps after the end";
    EXPECT_TRUE(suggested_lr(result.curve.points()));
}

} // namespace
