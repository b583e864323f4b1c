// SPDX-License-Identifier: Apache-2.0
// Machines that are taken away at any moment: the same bits in the end, and no file in between that cannot be
// read.
#include "base/random.hpp"
#include "model/weights/weight_file.hpp"
#include "tests/app/folders.hpp"
#include "tests/support/long_run.hpp"

#include <array>
#include <csignal>

using namespace petnet::testing;

namespace {

class preemption : public work_folder {
  protected:
    // The place that the checkpoint in `output` says, read as petnet reads it; null where there is none.
    [[nodiscard]] nlohmann::json checkpoint_of(const std::string& output) const {
        const fs::path file = at(output + "/checkpoint/state.safetensors");
        if (!fs::exists(file)) return {};
        const petnet::model::weight_file state = petnet::model::read_weight_file(file);
        EXPECT_GT(state.tensors.size(), 100U);
        return nlohmann::json::parse(state.metadata.at("petnet.checkpoint"));
    }
};

TEST_F(preemption, a_kill_within_an_epoch_costs_no_more_than_since_its_last_checkpoint) {
    const std::string data = photographs("d", 30);
    const arguments more{"--freeze-epochs", "0", "--epochs", "1"}; // six steps
    ASSERT_EQ(run(training(data, "whole", more)).code, 0);
    arguments words = training(data, "o", more);
    words.insert(words.end(), {"--checkpoint-minutes", "1e-9"}); // after every step
    {
        program running(words);
        // It is written while the next steps are made.
        ASSERT_TRUE(running.wait_until([&] { return fs::exists(at("o/checkpoint/state.safetensors")); }));
        running.signal(SIGKILL);
        ASSERT_EQ(running.end().code, -SIGKILL);
    }
    const nlohmann::json killed = checkpoint_of("o");
    ASSERT_TRUE(killed.is_object());
    EXPECT_EQ(killed.at("epoch"), 0);
    EXPECT_GE(killed.at("step_in_epoch"), 1);
    EXPECT_LE(killed.at("step_in_epoch"), 6);
    words.back() = "0"; // how often checkpoints are saved decides nothing of what is learned
    const outcome continued = run(words);
    ASSERT_EQ(continued.code, 0) << continued.err;
    EXPECT_NE(continued.err.find("Resuming"), std::string::npos) << continued.err;
    expect_same_run("o", "whole");
    EXPECT_FALSE(fs::exists(at("o.1")));
}

TEST_F(preemption, no_checkpoint_within_an_epoch_where_none_is_wanted) {
    program running(training(photographs("d", 40), "o",
                             {"--freeze-epochs", "0", "--epochs", "1", "--checkpoint-minutes", "0"}));
    ASSERT_TRUE(running.wait_until([&] { return lines_of(content_of(at("o/metrics.jsonl"))).size() >= 5; }));
    running.signal(SIGKILL); // three steps before the end of the epoch, which saves one

    static_cast<void>(running.end());
    EXPECT_FALSE(fs::exists(at("o/checkpoint/state.safetensors")));
    EXPECT_TRUE(refused(run({"train", "--checkpoint-minutes", "-1"}), 2, {"--checkpoint-minutes"}));
}

TEST_F(preemption, interruptions_at_random) {
    const int least = long_run() ? 50 : 3;
    const std::string data = photographs("d", long_run() ? 20 : 10);
    const arguments more{"--epochs", long_run() ? "4" : "2"};
    const outcome whole = run(training(data, "whole", more));
    ASSERT_EQ(whole.code, 0) << whole.err;
    const petnet::random_key key = petnet::random_key(20).child("interruption");
    constexpr std::array signals{SIGKILL, SIGTERM, SIGKILL, SIGINT};
    std::uint64_t draw = 0;
    int interruptions = 0, trainings = 0, midway = 0;
    for (; interruptions < least; ++trainings) {
        const std::string output = "o" + std::to_string(trainings);
        for (;;) {
            arguments words = training(data, output, more);
            const bool often = key.uniform(draw++) < 0.5;
            words.insert(words.end(), {"--checkpoint-minutes", often ? "1e-9" : "1e-3"});
            // Long enough for the slowest of many processes at once.
            program running(words, {.limit = std::chrono::seconds(600)});
            const auto delay = std::chrono::duration<double>(key.uniform(draw++) * 0.7 * whole.seconds);
            const auto due = std::chrono::steady_clock::now() + delay;
            const int signal = signals[static_cast<std::size_t>(key.uniform(draw++) * signals.size())];
            if (interruptions < least &&
                running.wait_until([&] { return std::chrono::steady_clock::now() > due; }))
                running.signal(signal);
            const outcome result = running.end();
            if (result.code == 0) break;
            // Before it listens for signals, and once it has begun to read the photographs, it ends by them.
            ASSERT_TRUE(result.code == -signal || result.code == 128 + signal)
                << result.code << " after signal " << signal << "\n"
                << result.err;
            ++interruptions;
            const nlohmann::json place = checkpoint_of(output);
            if (place.is_object() && place.at("step_in_epoch") != 0) ++midway;
        }
        expect_same_run(output, "whole");
        EXPECT_FALSE(fs::exists(at(output + ".1"))) << "an unfinished run was set aside";
    }
    EXPECT_TRUE(temporaries().empty()) << temporaries()[0];
    std::cout << interruptions << " interruptions of " << trainings << " trainings, " << midway
              << " left a checkpoint within an epoch\n";
}

} // namespace
