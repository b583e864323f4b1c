// SPDX-License-Identifier: Apache-2.0
// Trackers that fail in every way: the training learns the same, ends in time and says so once.
#include "tests/app/crew.hpp"
#include "tests/app/folders.hpp"
#include "tests/support/fake_mlflow.hpp"

#include <atomic>
#include <csignal>
#include <sys/mount.h>

using namespace petnet::testing;
using namespace std::chrono_literals;

namespace {

class tracking : public work_folder {
  protected:
    static constexpr const char* secret = "a-token-that-nobody-may-see";

    [[nodiscard]] static surroundings told_to(const std::string& uri) {
        return {.environment = {{"MLFLOW_TRACKING_URI", uri},
                                {"MLFLOW_TRACKING_TOKEN", secret},
                                {"MLFLOW_HTTP_REQUEST_TIMEOUT", "1"},
                                {"no_proxy", "127.0.0.1"}}};
    }
    [[nodiscard]] static std::size_t warnings(const outcome& result) {
        std::size_t count = 0;
        for (const std::string& line : lines_of(result.err)) count += line.starts_with("Warning: ") ? 1U : 0U;
        return count;
    }
    // No token in anything that the run has printed or written.
    void expect_no_secret(const outcome& result) const {
        EXPECT_EQ((result.out + result.err).find(secret), std::string::npos);
        for (const fs::directory_entry& entry : fs::recursive_directory_iterator(folder()))
            if (entry.is_regular_file() && !entry.is_symlink()) {
                EXPECT_EQ(content_of(entry.path()).find(secret), std::string::npos) << entry.path();
            }
    }
};

TEST_F(tracking, a_run_is_told_as_fastai_tells_it) {
    fake_mlflow server;
    const outcome result = run(training(photographs("d", 10), "o", {"--epochs", "2"}), told_to(server.uri()));
    ASSERT_EQ(result.code, 0) << result.err;
    EXPECT_EQ(warnings(result), 0U) << result.err;
    const told_run run = server.only_run();
    EXPECT_EQ(run.status, "FINISHED");
    EXPECT_EQ(run.name, "o");
    for (const char* name : {"epochs", "base_lr", "freeze_epochs", "lr_mult", "pct_start", "frozen_idx",
                             "freeze_opt_func", "freeze_lr_max", "freeze_wd", "opt_func", "lr_init",
                             "mom_final", "sqr_mom", "eps", "input_size", "num_layers", "seed", "batch_size"})
        EXPECT_TRUE(run.parameters.contains(name)) << name;
    EXPECT_EQ(run.parameters.at("lr_max"), "[1.e-05 1.e-04 1.e-03]");
    EXPECT_EQ(run.parameters.at("freeze_wd"), "[0.01, 0.01, 0.01]");
    std::vector<nlohmann::json> epochs;
    for (const nlohmann::json& line : metrics_of("o"))
        if (!line.contains("step")) epochs.push_back(line);
    ASSERT_EQ(epochs.size(), 3U);
    for (const char* name : {"train_loss", "valid_loss", "error_rate"}) {
        std::size_t seen = 0;
        for (const told_metric& each : run.metrics)
            if (each.name == name) {
                EXPECT_EQ(each.step, static_cast<std::int64_t>(seen));
                EXPECT_EQ(each.value, epochs.at(seen++).at(name)) << name;
            }
        EXPECT_EQ(seen, 3U) << name;
    }
    EXPECT_TRUE(run.artifacts.at("model/model.safetensors") == model_of("o"));
    EXPECT_EQ(run.artifacts.at("run.json"), content_of(at("o/run.json")));
    EXPECT_TRUE(run.artifacts.contains("freeze_lr.svg"));
    EXPECT_FALSE(fs::exists(at("o/checkpoint")));
    EXPECT_EQ(std::distance(fs::directory_iterator(at("logs/o")), {}), 1);
    expect_no_secret(result);
}

TEST_F(tracking, an_interrupted_run_goes_on_in_the_same_run) {
    fake_mlflow server;
    const std::string data = photographs("d");
    const arguments words = training(data, "o", frozen(3));
    {
        program running(words, told_to(server.uri()));
        ASSERT_TRUE(
            running.wait_until([&] { return lines_of(content_of(at("o/metrics.jsonl"))).size() >= 6; }));
        running.signal(SIGTERM);
        ASSERT_EQ(running.end().code, 143);
    }
    EXPECT_EQ(server.only_run().status, "KILLED");
    const outcome result = run(words, told_to(server.uri()));
    ASSERT_EQ(result.code, 0) << result.err;
    const told_run run = server.only_run();
    EXPECT_EQ(run.status, "FINISHED");
    std::int64_t epochs = 0;
    for (const told_metric& each : run.metrics)
        if (each.name == "error_rate") {
            EXPECT_EQ(each.step, epochs++);
        }
    EXPECT_EQ(epochs, 3);
}

TEST_F(tracking, of_a_failing_server_changes_no_bit) {
    const std::string data = photographs("d", 10);
    ASSERT_EQ(run(training(data, "whole", frozen())).code, 0);
    struct failing {
        const char* how;
        std::size_t warnings;
        fake_mlflow::fault fault;
    };
    std::atomic<int> requests = 0;
    const auto when = [&](bool (*fails)(int), void (*how)(http_connection&)) -> fake_mlflow::fault {
        return [&requests, fails, how](const http_request&, http_connection& connection) {
            const bool now = fails(requests++);
            if (now) how(connection);
            return now;
        };
    };
    const auto reset = [](http_connection& connection) { connection.reset(); };
    const auto error = [](http_connection& connection) {
        send_answer(connection, "500 Internal Server Error");
    };
    const auto hang = [](http_connection& connection) { connection.stall(60s); };
    const auto throttle = [](http_connection& connection) {
        send_answer(connection, "429 Too Many Requests");
    };
    const auto refuse = [](http_connection& connection) { send_answer(connection, "401 Unauthorized"); };
    // Where it never comes back there is a second one at the end, of what was not told.
    for (const failing& each : std::vector<failing>{
             {"away_at_first", 1, when([](int number) { return number < 1; }, reset)},
             {"dies_midway", 2, when([](int number) { return number >= 2; }, reset)},
             {"errors", 2, when([](int) { return true; }, error)},
             {"throttles", 2, when([](int) { return true; }, throttle)},
             {"throttles_at_first", 1, when([](int number) { return number < 1; }, throttle)},
             {"refuses", 2, when([](int) { return true; }, refuse)},
             {"hangs", 2, when([](int) { return true; }, hang)}}) {
        requests = 0;
        fake_mlflow server(each.fault);
        const outcome result = run(training(data, each.how, frozen()), told_to(server.uri()));
        EXPECT_EQ(result.code, 0) << each.how << result.err;
        // A training that ends within the second that the first request may take speaks of the end only.
        const bool only_of_the_end = each.how == std::string_view("hangs") && warnings(result) == 1;
        EXPECT_TRUE(warnings(result) == each.warnings || only_of_the_end) << each.how << "\n" << result.err;
        expect_same_run(each.how, "whole");
    }
}

TEST_F(tracking, of_a_hanging_server_delays_no_stop) {
    fake_mlflow server([](const http_request&, http_connection& connection) {
        connection.stall(60s);
        return true;
    });
    surroundings where = told_to(server.uri());
    where.environment.erase("MLFLOW_HTTP_REQUEST_TIMEOUT"); // two minutes then
    program running(training(photographs("d"), "o", {"--epochs", "50"}), where);
    ASSERT_TRUE(running.wait_until([&] { return lines_of(content_of(at("o/metrics.jsonl"))).size() >= 6; }));
    const auto asked = std::chrono::steady_clock::now();
    running.signal(SIGTERM);
    const outcome result = running.end();
    EXPECT_EQ(result.code, 143) << result.err;
    EXPECT_LT(std::chrono::steady_clock::now() - asked, std::chrono::seconds(address_sanitizer ? 60 : 20));
    EXPECT_TRUE(fs::exists(at("o/checkpoint/state.safetensors")));
}

TEST_F(tracking, where_it_cannot_be_is_a_warning) {
    const std::string data = photographs("d", 8);
    write("file", "");
    const outcome no_folder = run(training(data, "o", {"--epochs", "0", "--logs", at("file")}));
    EXPECT_EQ(no_folder.code, 0) << no_folder.err;
    EXPECT_EQ(warnings(no_folder), 1U) << no_folder.err;
    EXPECT_NE(no_folder.err.find("no charts for TensorBoard"), std::string::npos) << no_folder.err;

    const outcome no_server =
        run(training(data, "p", {"--epochs", "0", "--logs", "none"}), told_to("file:///tmp/mlruns"));
    EXPECT_EQ(no_server.code, 0) << no_server.err;
    EXPECT_EQ(warnings(no_server), 1U) << no_server.err;
    EXPECT_NE(no_server.err.find("MLFLOW_TRACKING_URI is no address"), std::string::npos) << no_server.err;
    EXPECT_FALSE(fs::exists(at("logs")));
}

TEST_F(tracking, on_a_full_disk_is_a_warning) {
    const std::string data = photographs("d", 10);
    arguments whole = training(data, "whole", frozen());
    whole.insert(whole.end(), {"--logs", at("charts")});
    ASSERT_EQ(run(whole).code, 0);
    fs::create_directories(at("logs"));
    if (::mount("petnet-test", at("logs").c_str(), "tmpfs", 0, "size=64k") != 0)
        GTEST_SKIP() << "only root can mount a small file system";
    write("logs/filler", std::string(100'000, 'x')); // as much of it as there is room for
    const outcome result = run(training(data, "o", frozen()));
    ::umount(at("logs").c_str());
    EXPECT_EQ(result.code, 0) << result.err;
    EXPECT_EQ(warnings(result), 1U) << result.err;
    expect_same_run("o", "whole");
}

TEST_F(tracking, one_process_of_several_speaks) {
    fake_mlflow server;
    const arguments words = training(photographs("d", 10), "o", {"--freeze-epochs", "0", "--threads", "1"});
    for (const outcome& result : crew(2, words, told_to(server.uri())).end())
        EXPECT_EQ(result.code, 0) << result.err;
    EXPECT_EQ(server.only_run().status, "FINISHED");
    const auto files = fs::recursive_directory_iterator(at("logs"));
    EXPECT_EQ(
        std::count_if(begin(files), end(files), [](const auto& each) { return each.is_regular_file(); }), 1);
}

} // namespace
