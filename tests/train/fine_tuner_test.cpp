// SPDX-License-Identifier: Apache-2.0
// The training loop against a plain one: the same losses at every step, the same learning rates, the same
// parameters at the end, bit for bit. Wrong rows, wrong labels, moments that outlive a phase, keys of dropout
// or cuts of another epoch: each changes them.
#include "train/fine_tuner.hpp"

#include "base/errors.hpp"
#include "data/augment.hpp"
#include "tests/support/golden.hpp"
#include "tests/train/plain_training.hpp"

#include <algorithm>
#include <fstream>
#include <limits>
#include <nlohmann/json.hpp>

using namespace petnet;
using namespace petnet::train;
using petnet::testing::step_record;

namespace {

class fine_tuning : public petnet::testing::plain_training {
  protected:
    using plain_training::plain_training;

    class step_log final : public observer {
      public:
        void on_step_begin() override { ++begun; }
        void on_step(const step_report& step) override {
            EXPECT_EQ(step.step, static_cast<std::int64_t>(all.size()));
            EXPECT_EQ(step.steps_in_epoch, steps);
            all.push_back({step.hyper, static_cast<float>(step.loss), step.epoch});
        }
        void on_epoch(const epoch_report& epoch) override { epochs.push_back(epoch); }
        std::vector<step_record> all;
        std::vector<epoch_report> epochs;
        std::size_t begun = 0;
    };

    // Both loops; what the one of the library logged.
    step_log compare(const std::vector<training_phase>& phases) {
        const trained actual = begin(), expected = begin();
        step_log log;
        fine_tuner tuner(setup_of(actual), phases, log);
        training_position position;
        EXPECT_TRUE(tuner.run(position, {[] { return false; }, [](const auto&, auto) {}}));
        std::vector<step_record> plain;
        std::int64_t run_epoch = 0;
        for (const training_phase& phase : phases) {
            const std::int64_t count = phase.epochs * steps;
            const auto part = plain_phase(expected, phase.kind, run_epoch, count,
                                          [&](std::int64_t i) { return phase.at(i, count); });
            plain.insert(plain.end(), part.begin(), part.end());
            run_epoch += phase.epochs;
        }
        EXPECT_EQ(log.begun, plain.size());
        EXPECT_EQ(log.all.size(), plain.size());
        for (std::size_t i = 0; i < std::min(log.all.size(), plain.size()); ++i) {
            EXPECT_EQ(log.all[i].loss, plain[i].loss) << "step " << i;
            EXPECT_EQ(log.all[i].hyper.lr, plain[i].hyper.lr) << "step " << i;
            EXPECT_EQ(log.all[i].hyper.mom, plain[i].hyper.mom) << "step " << i;
            EXPECT_EQ(log.all[i].epoch, plain[i].epoch) << "step " << i;
        }
        expect_same(actual, expected);
        return log;
    }
};

TEST_F(fine_tuning, golden_rates_at_every_step_and_the_plain_loop_s_bits) {
    const step_log log = compare(fine_tune_phases(1, 2e-3, 1));
    const auto runs = nlohmann::json::parse(std::ifstream(petnet::testing::golden_dir() / "schedules.json"));
    const auto run = std::find_if(runs.begin(), runs.end(), [](const auto& each) {
        return each.at("batches_per_epoch") == steps && each.at("args") == nlohmann::json{{"epochs", 1}};
    });
    if (run == runs.end()) GTEST_SKIP() << "no golden fine_tune(1) of 3 batches an epoch";
    const auto& rows = run->at("lr_mom_per_step");
    ASSERT_EQ(rows.size(), log.all.size());
    for (std::size_t i = 0; i < rows.size(); ++i) {
        for (std::size_t g = 0; g < model::parameter_groups; ++g) {
            const double lr = rows[i].at(0).at(g);
            EXPECT_NEAR(log.all[i].hyper.lr[g], lr, 1e-6 * lr) << "step " << i << " group " << g;
        }
        EXPECT_NEAR(log.all[i].hyper.mom, rows[i].at(1).get<double>(), 1e-6) << "step " << i;
    }
}

class fine_tuning_of_a_small_network : public fine_tuning {
  protected:
    fine_tuning_of_a_small_network() : fine_tuning(small()) {}
};

TEST_F(fine_tuning_of_a_small_network, augmented_photographs) {
    cut_to(static_cast<std::size_t>(data::presized(size)));
    const step_log log = compare(fine_tune_phases(1, 2e-3, 1));
    EXPECT_EQ(log.epochs.at(0).validation.images, 2);
}

TEST_F(fine_tuning_of_a_small_network, several_epochs_in_a_phase) {
    const step_log log = compare(fine_tune_phases(2, 1e-2, 2));
    ASSERT_EQ(log.epochs.size(), 4U);
    for (std::size_t i = 0; i < log.epochs.size(); ++i) {
        EXPECT_EQ(log.epochs[i].epoch, static_cast<std::int64_t>(i));
        EXPECT_EQ(log.epochs[i].phase, i < 2 ? model::phase::frozen : model::phase::unfrozen);
        EXPECT_EQ(log.epochs[i].validation.images, 2);
    }
}

// Breaks a parameter once a step is over.
class breaker final : public observer {
  public:
    breaker(model::parameters& parameters, std::int64_t after_step, float value)
        : parameters_(parameters), after_step_(after_step), value_(value) {}
    void on_step(const step_report& step) override {
        ++steps;
        if (step.step != after_step_) return;
        const kernels::tensor_view& view = parameters_.find("head.fc2.weight").value;
        const std::vector<float> values(static_cast<std::size_t>(view.desc.dims.elements()), value_);
        parameters_.device().write(view, std::span(values));
    }
    void on_epoch(const epoch_report&) override { ++epochs; }
    std::int64_t steps = 0, epochs = 0;

  private:
    model::parameters& parameters_;
    std::int64_t after_step_;
    float value_;
};

// Two epochs of three steps. Saves whenever it may, so that a state after the loss was lost would be seen.
TEST_F(fine_tuning_of_a_small_network, a_loss_that_is_not_finite_ends_it_within_a_step) {
    constexpr float nan_value = std::numeric_limits<float>::quiet_NaN(),
                    infinite = std::numeric_limits<float>::infinity();
    const struct {
        std::int64_t after_step;
        float value;
        std::int64_t steps, epochs, checkpoints;
        const char* message;
    } cases[] = {
        {0, nan_value, 2, 0, 1, "the loss is not a number at step 1 (epoch 0, learning rate "},
        {0, infinite, 2, 0, 1, "at step 1 (epoch 0, learning rate "},
        // The last step of an epoch, and the first.
        {1, nan_value, 3, 0, 2, "the loss is not a number at step 2 (epoch 0, learning rate "},
        {3, nan_value, 5, 1, 5, "the loss is not a number at step 4 (epoch 1, learning rate "},
        // After the last step only the validation can show it.
        {2, nan_value, 3, 1, 3, "the validation loss is not finite after step 2 (epoch 0, learning rate "},
    };
    for (const bool saves : {false, true})
        for (const auto& each : cases) {
            const trained run = begin();
            breaker listener(*run.parameters, each.after_step, each.value);
            fine_tuner tuner(setup_of(run), fine_tune_phases(2, 1e-3, 0), listener);
            training_position position;
            std::int64_t checkpoints = 0;
            std::string message;
            try {
                static_cast<void>(
                    tuner.run(position, {.stop_requested = [] { return false; },
                                         .checkpoint = [&](const auto&, auto) { ++checkpoints; },
                                         .checkpoint_due = [&] { return saves; }}));
            } catch (const input_error& error) {
                message = error.what();
            }
            EXPECT_NE(message.find(each.message), std::string::npos) << message;
            EXPECT_NE(message.find("try a lower --lr"), std::string::npos) << message;
            EXPECT_EQ(listener.steps, each.steps) << each.message;
            EXPECT_EQ(listener.epochs, each.epochs) << each.message;
            if (saves) {
                EXPECT_EQ(checkpoints, each.checkpoints) << each.message;
            }
        }
}

TEST_F(fine_tuning_of_a_small_network, a_stop_keeps_no_state_after_the_loss_was_lost) {
    const trained run = begin();
    breaker listener(*run.parameters, 0, std::numeric_limits<float>::quiet_NaN());
    fine_tuner tuner(setup_of(run), fine_tune_phases(1, 1e-3, 0), listener);
    training_position position;
    EXPECT_THROW(
        static_cast<void>(tuner.run(position, {[&] { return listener.steps == 2; },
                                               [](const auto&, auto) { ADD_FAILURE() << "saved"; }})),
        input_error);
}

} // namespace
