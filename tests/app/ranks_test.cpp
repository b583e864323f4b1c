// SPDX-License-Identifier: Apache-2.0
// Trainings in several processes: started as torchrun and Azure ML start them, and by mpirun; stopped,
// killed, and continued by another number of them.
#include "base/random.hpp"
#include "tests/app/crew.hpp"
#include "tests/app/folders.hpp"
#include "tests/support/long_run.hpp"

#include <array>
#include <csignal>
#include <memory>

using namespace petnet::testing;
using namespace std::chrono_literals;

namespace {

bool has_mpirun() { return !std::string(PETNET_MPIRUN).empty() && fs::exists(PETNET_MPIRUN); }

// Open MPI keeps some memory to the end.
outcome by_mpirun(int size, const arguments& words) {
    return run(words, {.environment = {{"ASAN_OPTIONS", "detect_leaks=0"},
                                       {"OMPI_MCA_rmaps_base_oversubscribe", "1"},
                                       {"OMPI_MCA_btl_vader_single_copy_mechanism", "none"}},
                       .wrapper = {PETNET_MPIRUN, "--allow-run-as-root", "--oversubscribe", "-n",
                                   std::to_string(size)}});
}

class several_processes : public work_folder {
  protected:
    // One epoch, everything training: `batches` of them.
    [[nodiscard]] arguments one_epoch(const std::string& data, const std::string& output, int batch) const {
        arguments words =
            training(data, output, {"--freeze-epochs", "0", "--batch-size", std::to_string(batch)});
        words.insert(words.end(), {"--threads", "1", "--logs", "none"});
        return words;
    }
    [[nodiscard]] std::size_t lines_in(const std::string& output) const {
        return lines_of(content_of(at(output + "/metrics.jsonl"))).size();
    }
    // Every step once, in order, however often it was interrupted.
    void expect_steps(const std::string& output, std::size_t steps) const {
        std::size_t next = 0;
        for (const nlohmann::json& line : metrics_of(output))
            if (line.contains("step")) {
                EXPECT_EQ(line.at("step"), next++);
            }
        EXPECT_EQ(next, steps);
    }
};

TEST_F(several_processes, the_same_bits_each_time_and_by_torchrun_as_by_mpirun) {
    const std::string data = photographs("d", 10);
    const std::vector<outcome> two = crew(2, one_epoch(data, "o", 4)).end();
    ASSERT_EQ(two[0].code, 0) << two[0].err;
    ASSERT_EQ(two[1].code, 0) << two[1].err;
    EXPECT_NE(two[0].out.find("error_rate"), std::string::npos) << two[0].out;
    EXPECT_EQ(two[1].out + two[1].err, "") << "rank 0 speaks for all";
    expect_steps("o", 2);
    const nlohmann::json record = record_of("o");
    EXPECT_EQ(record.at("status"), "finished");
    EXPECT_TRUE(record.at("data").contains("sha256")) << "rank 1 has read photographs that rank 0 has not";
    EXPECT_EQ(record.at("ranks").at("size"), 2);
    EXPECT_EQ(record.at("ranks").at("sums_by"), "tcp");
    // ResNet-34 without its classifier, the head for 2 classes, and the loss, 4 bytes each, in every step.
    EXPECT_EQ(record.at("ranks").at("bytes_averaged"),
              2 * 4 * (21'284'672 + 2 * 1024 + 512 * 1024 + 2 * 512 + 2 * 512 + 1));

    // What the ranks together say of the model is what one process says of it.
    const outcome judged = run({"evaluate", "--model", at("o/model.safetensors"), "--data", data,
                                "--valid-list", at("o/valid.txt"), "--json", "--threads", "1"});
    ASSERT_EQ(judged.code, 0) << judged.err;
    const nlohmann::json last = metrics_of("o").back();
    EXPECT_NEAR(nlohmann::json::parse(judged.out).at("loss").get<double>(),
                last.at("valid_loss").get<double>(), 1e-5);

    if (!has_mpirun()) GTEST_SKIP() << "no mpirun here";
    const outcome mpi = by_mpirun(2, one_epoch(data, "mpi", 4));
    ASSERT_EQ(mpi.code, 0) << mpi.err;
    EXPECT_EQ(record_of("mpi").at("ranks").at("sums_by"), "mpi");
    expect_same_run("mpi", "o"); // of two addends the order does not matter
    EXPECT_EQ(record_of("mpi").at("data"), record.at("data"));
}

TEST_F(several_processes, a_stop_of_one_stops_all_four_after_the_same_step_and_one_alone_continues) {
    const std::string data = photographs("d", 40);
    const arguments words = one_epoch(data, "o", 8); // four steps
    crew four(4, words);
    ASSERT_TRUE(four.member(0).wait_until([&] { return lines_in("o") >= 1; })) << four.member(0).err_so_far();
    four.member(2).signal(SIGTERM);
    const std::vector<outcome> ends = four.end();
    for (const outcome& each : ends) EXPECT_EQ(each.code, 128 + SIGTERM) << each.err;
    EXPECT_NE(ends[0].err.find("Interrupted: a checkpoint is saved"), std::string::npos) << ends[0].err;
    for (std::size_t rank = 1; rank < 4; ++rank) EXPECT_EQ(ends[rank].out + ends[rank].err, "");
    EXPECT_EQ(record_of("o").at("status"), "interrupted");

    const outcome alone = run(words);
    ASSERT_EQ(alone.code, 0) << alone.err;
    EXPECT_NE(alone.err.find("Resuming"), std::string::npos) << alone.err;
    expect_steps("o", 4);
    EXPECT_FALSE(fs::exists(at("o.1")));
}

// Two of them, in quick tests: the_same_bits_each_time_and_by_torchrun_as_by_mpirun.
TEST_F(several_processes, four_by_torchrun_learn_what_four_by_mpirun_learn) {
    if (!long_run()) GTEST_SKIP() << left_for_long_run;
    if (!has_mpirun()) GTEST_SKIP() << "no mpirun here";
    const std::string data = photographs("d", 40);
    for (const outcome& each : crew(4, one_epoch(data, "o", 8)).end()) ASSERT_EQ(each.code, 0) << each.err;
    expect_steps("o", 4);
    const outcome mpi = by_mpirun(4, one_epoch(data, "mpi", 8));
    ASSERT_EQ(mpi.code, 0) << mpi.err;
    expect_steps("mpi", 4);
    const auto tcp_log = metrics_of("o"), mpi_log = metrics_of("mpi");
    EXPECT_EQ(tcp_log[0].at("loss"), mpi_log[0].at("loss"));
    // Four addends are rounded in the order of the sums, and Adam's first step makes whole steps of rounding
    // noise in small gradients.
    EXPECT_NEAR(tcp_log[1].at("loss").get<double>(), mpi_log[1].at("loss").get<double>(), 5e-3);
}

class interrupted_processes : public several_processes {
  protected:
    interrupted_processes() { photographs("d"); }
    [[nodiscard]] arguments four_steps(const std::string& output, const char* checkpoint_minutes) const {
        arguments words = one_epoch(at("d"), output, 4);
        words.insert(words.end(), {"--checkpoint-minutes", checkpoint_minutes});
        return words;
    }
    void finish(const std::string& output) const {
        for (const outcome& each : crew(2, four_steps(output, "0"), {.limit = 600s}).end())
            ASSERT_EQ(each.code, 0) << each.err;
    }
};

// In the midst of an epoch, with a checkpoint after every step: first the one that does not speak, then the
// one that does.
TEST_F(interrupted_processes, continue_to_the_same_bits_after_kills_of_each_of_them) {
    finish("whole");
    for (const int whom : {1, 0}) {
        const int other = 1 - whom;
        const std::size_t lines = lines_in("o") + 1;
        crew two(2, four_steps("o", "1e-9"));
        ASSERT_TRUE(two.member(0).wait_until([&] { return lines_in("o") >= lines; }))
            << two.member(0).err_so_far();
        two.member(whom).signal(SIGKILL);
        const auto killed = std::chrono::steady_clock::now();
        const outcome left = two.member(other).end();
        EXPECT_LT(std::chrono::steady_clock::now() - killed, 60s);
        EXPECT_EQ(left.code, 4) << left.err;
        if (whom == 1) {
            EXPECT_TRUE(lines_of(left.err).back().starts_with("petnet: rank 1 of 2 is gone")) << left.err;
            EXPECT_EQ(record_of("o").at("status"), "failed");
        }
    }
    finish("o");
    expect_same_run("o", "whole");
    EXPECT_FALSE(fs::exists(at("o.1"))) << "an unfinished run was set aside";
    EXPECT_TRUE(temporaries().empty()) << temporaries()[0];
}

TEST_F(interrupted_processes, continue_to_the_same_bits_after_interruptions_at_random) {
    if (!long_run()) GTEST_SKIP() << left_for_long_run;
    constexpr int least = 50;
    const auto start = std::chrono::steady_clock::now();
    finish("whole");
    const std::chrono::duration<double> whole = std::chrono::steady_clock::now() - start;
    const petnet::random_key key = petnet::random_key(21).child("interruption of ranks");
    constexpr std::array signals{SIGKILL, SIGTERM};
    std::uint64_t draw = 0;
    int interruptions = 0, trainings = 0;
    for (; interruptions < least; ++trainings) {
        const std::string output = "o" + std::to_string(trainings);
        for (bool finished = false; !finished;) {
            crew two(2, four_steps(output, key.uniform(draw++) < 0.5 ? "1e-9" : "1e-3"), {.limit = 600s});
            const auto due = std::chrono::steady_clock::now() + key.uniform(draw++) * 0.9 * whole;
            const int signal = signals[static_cast<std::size_t>(key.uniform(draw++) * signals.size())];
            const int whom = key.uniform(draw++) < 0.5 ? 0 : 1;
            if (interruptions < least &&
                two.member(whom).wait_until([&] { return std::chrono::steady_clock::now() > due; }))
                two.member(whom).signal(signal);
            const std::vector<outcome> ends = two.end();
            finished = ends[0].code == 0;
            if (finished) break;
            ++interruptions;
            // The one that a signal ended, before it listened for it or after; those that it left.
            for (const outcome& each : ends)
                EXPECT_TRUE(each.code == -signal || each.code == 128 + signal || each.code == 4)
                    << each.code << " after signal " << signal << " to rank " << whom << "\n"
                    << each.err;
        }
        expect_same_run(output, "whole");
        EXPECT_FALSE(fs::exists(at(output + ".1"))) << "an unfinished run was set aside";
    }
    EXPECT_TRUE(temporaries().empty()) << temporaries()[0];
    std::cout << interruptions << " interruptions of " << trainings << " trainings by two ranks\n";
}

TEST_F(several_processes, what_cannot_be_shared_is_refused) {
    const std::string data = photographs("d");
    for (const outcome& each : crew(3, one_epoch(data, "o", 4)).end())
        EXPECT_TRUE(each.code == 2 || each.code == 4) << each.err; // 4: another one was the first to say it
    EXPECT_FALSE(fs::exists(at("o")));
    const outcome no_number =
        run(one_epoch(data, "o", 4), {.environment = {{"RANK", "x"}, {"WORLD_SIZE", "2"}}});
    EXPECT_TRUE(refused(no_number, 2, {"RANK"}));
    const outcome no_address =
        run(one_epoch(data, "o", 4), {.environment = {{"RANK", "0"}, {"WORLD_SIZE", "2"}}});
    EXPECT_TRUE(refused(no_address, 2, {"MASTER_ADDR"}));
}

} // namespace
