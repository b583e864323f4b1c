// SPDX-License-Identifier: Apache-2.0
// The same bits again: twice, and after a stop. After kills, and where a machine is taken away:
// preemption_test.cpp.
#include "model/weights/weight_file.hpp"
#include "tests/app/folders.hpp"
#include "train/checkpoint.hpp"

#include <csignal>
#include <thread>

using namespace petnet::testing;

namespace {

class resume : public work_folder {
  protected:
    // Starts `words`, sends `signal` once the log has `lines` lines; whether it came in time.
    outcome interrupted(const arguments& words, const std::string& output, int signal,
                        std::size_t lines) const {
        const fs::path log = folder() / output / "metrics.jsonl";
        const std::string before = content_of(log); // an earlier run's, which this one may move away first
        program running(words);
        EXPECT_TRUE(running.wait_until([&] {
            const std::string now = content_of(log);
            return now != before && lines_of(now).size() >= lines;
        }));
        const auto sent = std::chrono::steady_clock::now();
        running.signal(signal);
        outcome result = running.end();
        // The promise of docs/azureml.md; a second on a quiet machine.
        EXPECT_LT(std::chrono::steady_clock::now() - sent, std::chrono::seconds(address_sanitizer ? 60 : 20));
        return result;
    }
};

TEST_F(resume, two_runs_give_the_same_bits) {
    const std::string data = photographs("d", 10);
    for (const auto& [precision, weights] : {std::pair("fp32", "random"), std::pair("auto", "embedded")}) {
        const std::string a = std::string("a_") + precision, b = std::string("b_") + precision;
        for (const std::string& output : {a, b}) {
            const outcome result =
                run(training(data, output, {"--precision", precision, "--weights", weights}));
            ASSERT_EQ(result.code, 0) << result.err;
        }
        expect_same_run(b, a);
    }
    run_to_first_step(training(data, "other", {"--seed", "43", "--weights", "random"}), "other");
    EXPECT_NE(metrics_of("other").at(0).at("loss"), metrics_of("a_fp32").at(0).at("loss"))
        << "the seed changes nothing";
}

TEST_F(resume, after_a_signal_at_every_step) {
    const std::string data = photographs("d", 10);
    // A photograph whose place in its batch another one takes, before and after an interruption alike.
    write("d/Broken_1.jpg", content_of(fs::directory_iterator(data)->path()).substr(0, 3000));
    const arguments more{"--epochs", "2", "--max-bad-images", "0.2"};
    const outcome whole = run(training(data, "whole", more));
    ASSERT_EQ(whole.code, 0) << whole.err;
    const arguments words = training(data, "o/", more);
    // One step or one batch of validation at a time: the signal waits when training begins. Within each
    // epoch, and between two of a phase and of different ones.
    int runs = 0;
    for (std::size_t lines = 1;; lines = metrics_of("o").size() + 1, ++runs) {
        SCOPED_TRACE("run " + std::to_string(runs) + ", to line " + std::to_string(lines) + " of the log");
        ASSERT_LT(runs, 30);
        const int signal = runs % 2 == 0 ? SIGTERM : SIGINT;
        const outcome result = interrupted(words, "o", signal, lines);
        EXPECT_EQ(result.err.find("Resuming  in epoch") != std::string::npos, runs > 0) << result.err;
        EXPECT_FALSE(fs::exists(at("o.1")));
        if (result.code == 0) break;
        ASSERT_EQ(result.code, 128 + signal) << result.err;
        EXPECT_NE(result.err.find("the same command continues"), std::string::npos) << result.err;
        EXPECT_TRUE(fs::exists(at("o/checkpoint/state.safetensors")));
        EXPECT_FALSE(fs::exists(at("o/model.safetensors")));
        EXPECT_EQ(record_of("o").at("status"), "interrupted");
    }
    EXPECT_GE(runs, 4);
    expect_same_run("o", "whole");
}

TEST_F(resume, of_augmented_photographs) {
    const std::string data = photographs("d");
    arguments more = frozen(2);
    more.insert(more.end(), {"--labels", "breed"});
    const arguments plain = training(data, "o", more);
    more.insert(more.end(), {"--recipe", "augmented"});
    const outcome whole = run(training(data, "whole", more));
    ASSERT_EQ(whole.code, 0) << whole.err;
    const arguments words = training(data, "o", more);
    ASSERT_EQ(interrupted(words, "o", SIGTERM, 2).code, 143);
    const outcome continued = run(words);
    ASSERT_EQ(continued.code, 0) << continued.err;
    expect_same_run("o", "whole");

    // Another recipe is another run, and trains on other pixels.
    run_to_first_step(plain, "o");
    EXPECT_TRUE(fs::exists(at("o.1/model.safetensors")));
    EXPECT_NE(metrics_of("o").at(0).at("loss"), metrics_of("whole").at(0).at("loss"));
}

TEST_F(resume, a_checkpoint_that_cannot_be_read_is_set_aside) {
    const std::string data = photographs("d");
    const arguments words = training(data, "o");
    ASSERT_EQ(interrupted(words, "o", SIGTERM, 2).code, 143);
    const std::string state = content_of(at("o/checkpoint/state.safetensors"));
    int number = 0;
    std::string overwritten = state;
    overwritten.replace(state.size() / 2, 4, "\xff\xff\xff\x7f");
    for (const std::string& garbage :
         {std::string("garbage"), std::string(), state.substr(0, state.size() / 2),
          state.substr(0, state.size() - 1), overwritten}) {
        write("o/checkpoint/state.safetensors", garbage);
        const std::string moved = "o." + std::to_string(++number);
        const outcome result = interrupted(words, "o", SIGTERM, 2);
        EXPECT_EQ(result.code, 143) << result.err;
        EXPECT_NE(result.err.find("was moved to " + at(moved)), std::string::npos) << result.err;
        EXPECT_NE(
            result.err.find("Warning: the run in " + at("o") +
                            " cannot be continued and begins anew: " + at("o/checkpoint/state.safetensors")),
            std::string::npos)
            << result.err;
        EXPECT_EQ(result.err.find("Resuming"), std::string::npos) << result.err;
        EXPECT_TRUE(content_of(at(moved + "/checkpoint/state.safetensors")) == garbage);
    }
}

TEST_F(resume, finished_and_different_runs_are_set_aside) {
    const std::string data = photographs("d", 10);
    const arguments short_run{"--epochs", "0"};
    ASSERT_EQ(run(training(data, "o", short_run)).code, 0);
    const std::string first = model_of("o");
    const outcome second = run(training(data, "o/", short_run));
    ASSERT_EQ(second.code, 0) << second.err;
    EXPECT_NE(second.err.find("was moved to " + at("o.1")), std::string::npos) << second.err;
    EXPECT_TRUE(model_of("o.1") == first);

    ASSERT_EQ(interrupted(training(data, "o", {"--lr", "1e-3"}), "o", SIGINT, 2).code, 130);
    EXPECT_TRUE(fs::exists(at("o.2/model.safetensors")));
    const outcome other = run_to_first_step(training(data, "o", {"--lr", "2e-3"}), "o");
    EXPECT_NE(other.err.find("was moved to " + at("o.3")), std::string::npos) << other.err;
    EXPECT_TRUE(fs::exists(at("o.3/checkpoint/state.safetensors")));

    ASSERT_EQ(interrupted(training(data, "n"), "n", SIGINT, 2).code, 130);
    const outcome never = run_to_first_step(training(data, "n", {"--resume", "never"}), "n");
    EXPECT_EQ(never.err.find("Resuming"), std::string::npos) << never.err;
    EXPECT_NE(never.err.find("was moved to " + at("n.1")), std::string::npos) << never.err;
}

TEST_F(resume, from_a_checkpoint_file) {
    const std::string data = photographs("d", 10);
    ASSERT_EQ(run(training(data, "whole")).code, 0);
    ASSERT_EQ(interrupted(training(data, "o"), "o", SIGTERM, 2).code, 143);
    const std::string state = at("o/checkpoint/state.safetensors");
    // Another folder, other threads: neither changes what is learned; the second leaves the data's order
    // alone.
    const outcome elsewhere = run(training(data, "p", {"--resume", state}));
    ASSERT_EQ(elsewhere.code, 0) << elsewhere.err;
    EXPECT_NE(elsewhere.err.find("Resuming"), std::string::npos);
    expect_same_run("p", "whole");
    const outcome same_folder = run(training(data, "o", {"--resume", state}));
    ASSERT_EQ(same_folder.code, 0) << same_folder.err;
    expect_same_run("o", "whole");
    EXPECT_TRUE(fs::exists(at("o.1/checkpoint/state.safetensors")));

    const std::string moved = at("o.1/checkpoint/state.safetensors");
    EXPECT_TRUE(
        refused(run(training(data, "q", {"--resume", moved, "--seed", "1"})), 3, {moved, "other options"}));
    EXPECT_TRUE(
        refused(run(training(data, "q", {"--resume", at("whole/model.safetensors")})), 3, {"no checkpoint"}));
    EXPECT_TRUE(refused(run(training(data, "q", {"--resume", at("none")})), 3, {at("none")}));
    EXPECT_FALSE(fs::exists(at("q")));
}

// What else a checkpoint may lie about: tests/train/checkpoint_test.cpp.
TEST_F(resume, a_checkpoint_that_lies_about_its_place_is_refused) {
    const std::string data = photographs("d", 8);
    const arguments words = training(data, "o", {"--epochs", "3"});
    ASSERT_EQ(interrupted(words, "o", SIGTERM, 1).code, 143);
    const fs::path file = at("o/checkpoint/state.safetensors");
    const petnet::model::weight_file state = petnet::model::read_weight_file(file);
    const auto info = nlohmann::json::parse(state.metadata.at("petnet.checkpoint"));
    for (const auto& [key, value] : std::vector<std::pair<const char*, nlohmann::json>>{
             {"epoch", -5}, {"step", info.at("step").get<std::int64_t>() + 1}}) {
        auto lie = info;
        lie[key] = value;
        lie.erase("checksum");
        lie["checksum"] = petnet::train::checkpoint_checksum(lie.dump(), state.tensors);
        petnet::model::write_safetensors(file, state.tensors, {{"petnet.checkpoint", lie.dump()}});
        arguments resumed = words; // named, it is no earlier run that may be set aside
        resumed.insert(resumed.end(), {"--resume", file.string()});
        resumed[4] = at("p");
        EXPECT_TRUE(refused(run(resumed), 3, {file.string()})) << key << ' ' << value;
        fs::remove_all(at("p"));
    }
}

// The end of the run is saved before the model: should that fail, nothing is trained again.
TEST_F(resume, a_model_that_could_not_be_written_is_written_by_the_next_run) {
    const std::string data = photographs("d", 10);
    ASSERT_EQ(run(training(data, "whole")).code, 0);
    program first(training(data, "o"));
    ASSERT_TRUE(first.wait_until([&] { return fs::exists(at("o/metrics.jsonl")); }));
    write("o/model.safetensors/in_the_way", ""); // no file can take a folder's name
    const outcome failed = first.end();
    EXPECT_EQ(failed.code, 4) << failed.err;
    EXPECT_NE(lines_of(failed.err).back().find("then the same command only writes the model"),
              std::string::npos)
        << failed.err;
    EXPECT_EQ(record_of("o").at("status"), "failed");
    fs::remove_all(at("o/model.safetensors"));
    const outcome second = run(training(data, "o"));
    EXPECT_EQ(second.code, 0) << second.err;
    EXPECT_NE(second.err.find("only the model is still to be written"), std::string::npos) << second.err;
    EXPECT_EQ(second.out, "") << "it trained again";
    expect_same_run("o", "whole");
    EXPECT_FALSE(fs::exists(at("o/checkpoint")));
    EXPECT_FALSE(fs::exists(at("o.1")));
}

TEST_F(resume, a_finished_run_that_was_killed_before_its_checkpoint_went_is_finished) {
    const std::string data = photographs("d", 10);
    const arguments words = training(data, "o");
    ASSERT_EQ(interrupted(words, "o", SIGTERM, 2).code, 143);
    const std::string state = content_of(at("o/checkpoint/state.safetensors"));
    ASSERT_EQ(run(words).code, 0);
    const std::string model = model_of("o");
    write("o/checkpoint/state.safetensors", state);
    const outcome again = run_to_first_step(words, "o");
    EXPECT_EQ(again.err.find("Resuming"), std::string::npos) << again.err;
    EXPECT_NE(again.err.find("was moved to " + at("o.1")), std::string::npos) << again.err;
    EXPECT_TRUE(model_of("o.1") == model);
}

TEST_F(resume, with_other_threads) {
    const std::string data = photographs("d");
    const auto by_threads = [&](const std::string& output, const char* threads) {
        arguments words = training(data, output, frozen(2));
        words.insert(words.end(), {"--threads", threads});
        return words;
    };
    ASSERT_EQ(run(by_threads("one", "1")).code, 0);
    ASSERT_EQ(interrupted(by_threads("o", "2"), "o", SIGTERM, 2).code, 143);
    const outcome continued = run(by_threads("o", "1"));
    ASSERT_EQ(continued.code, 0) << continued.err;
    EXPECT_NE(continued.err.find("Resuming"), std::string::npos) << continued.err;
    // The same photographs in the same order: losses that another order would move by far more.
    const auto one = metrics_of("one"), both = metrics_of("o");
    ASSERT_EQ(one.size(), both.size());
    for (std::size_t i = 0; i < 4; ++i)
        EXPECT_NEAR(one[i].at("loss").get<double>(), both[i].at("loss").get<double>(), 1e-3) << "step " << i;
}

TEST_F(resume, one_run_at_a_time_in_a_folder) {
    const std::string data = photographs("d", 10);
    program first(training(data, "o", frozen(1000)));
    ASSERT_TRUE(first.wait_until([&] { return fs::exists(at("o/metrics.jsonl")); }));
    EXPECT_TRUE(refused(run(training(data, "o", {"--seed", "1"})), 4, {"another run", at("o")}));
    // It goes on, and saves where it is.
    const std::size_t then = metrics_of("o").size();
    EXPECT_TRUE(first.wait_until([&] { return lines_of(content_of(at("o/metrics.jsonl"))).size() > then; }));
    first.signal(SIGTERM);
    const outcome result = first.end();
    EXPECT_EQ(result.code, 143) << result.err;
    EXPECT_TRUE(fs::exists(at("o/checkpoint/state.safetensors")));
    EXPECT_FALSE(fs::exists(at("o.1")));
}

} // namespace
