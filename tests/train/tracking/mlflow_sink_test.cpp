// SPDX-License-Identifier: Apache-2.0
// A run in MLflow, by a server of ours that fails in every way that networks have.
#include "train/tracking/mlflow_sink.hpp"

#include "tests/train/tracking/mlflow_training.hpp"

#include <atomic>
#include <limits>

using namespace petnet;
using namespace petnet::testing;
using namespace petnet::tracking;
using namespace std::chrono_literals;

namespace {

TEST_F(mlflow, a_run_is_created_told_and_ended) {
    fake_mlflow server;
    mlflow_sink sink(
        settings_for(server.uri(), {{"MLFLOW_EXPERIMENT_NAME", "cats dogs"}, {"MLFLOW_RUN_NAME", "first"}}),
        memory(), patience());
    EXPECT_EQ(train(sink), std::vector<std::string>());
    const told_run run = server.only_run();
    expect_all(run);
    EXPECT_EQ(run.name, "first");
    EXPECT_EQ(run.status, "FINISHED");
    EXPECT_EQ(run.tags.at("mlflow.source.name"), "petnet");
    for (const http_request& request : server.requests())
        EXPECT_EQ(request.header("authorization"), "Bearer " + std::string(secret));
}

TEST_F(mlflow, a_given_run_is_told_and_not_ended) {
    fake_mlflow server;
    server.add_run("given");
    for (const ending how : {ending::finished, ending::failed, ending::stopped}) {
        mlflow_sink sink(settings_for(server.uri(), {{"MLFLOW_RUN_ID", "given"}}), memory(), patience());
        EXPECT_EQ(train(sink, 3, how), std::vector<std::string>());
    }
    expect_all(server.only_run()); // the second and the third are the same training: nothing is new
    EXPECT_EQ(server.only_run().status, "RUNNING");
    EXPECT_FALSE(std::filesystem::exists(memory()));
    for (const http_request& request : server.requests())
        EXPECT_EQ(request.target.find("runs/update"), std::string::npos);
}

TEST_F(mlflow, an_interrupted_run_is_continued_and_steps_are_not_told_twice) {
    fake_mlflow server;
    {
        mlflow_sink sink(settings_for(server.uri()), memory(), patience());
        EXPECT_EQ(train(sink, 2, ending::stopped), std::vector<std::string>());
        EXPECT_EQ(server.only_run().status, "KILLED");
    }
    mlflow_sink sink(settings_for(server.uri()), memory(), patience());
    EXPECT_EQ(train(sink), std::vector<std::string>());
    expect_all(server.only_run());
    EXPECT_EQ(server.only_run().status, "FINISHED");

    // One that was removed on the server: a new one.
    write_file_atomically(memory(), R"({"server":"MLflow at )" + server.uri() + R"(","run_id":"gone"})");
    mlflow_sink again(settings_for(server.uri()), memory(), patience());
    EXPECT_EQ(train(again), std::vector<std::string>());
    EXPECT_EQ(server.runs().size(), 2U);
}

TEST_F(mlflow, what_failed_is_told_as_failed) {
    fake_mlflow server;
    mlflow_sink sink(settings_for(server.uri()), memory(), patience());
    EXPECT_EQ(train(sink, 1, ending::failed), std::vector<std::string>());
    EXPECT_EQ(server.only_run().status, "FAILED");
}

TEST_F(mlflow, a_given_run_that_is_not_there_is_one_warning) {
    fake_mlflow server;
    mlflow_sink sink(settings_for(server.uri(), {{"MLFLOW_RUN_ID", "none"}}), memory(), patience());
    expect_one_warning(train(sink), "this training is not tracked there");
    EXPECT_TRUE(server.runs().empty());
}

TEST_F(mlflow, many_metrics_come_in_batches) {
    fake_mlflow server;
    mlflow_patience slow = patience();
    slow.collect = 1s;
    mlflow_sink sink(settings_for(server.uri()), memory(), slow);
    sink.start(description());
    for (std::int64_t i = 0; i < 1000; ++i) sink.step(step(i));
    sink.end(ending::finished, {});
    const told_run run = server.only_run();
    EXPECT_EQ(run.metrics.size(), 1000U);
    EXPECT_LE(run.largest_batch, 200U);
    EXPECT_LE(server.requests().size(), 20U);
}

TEST_F(mlflow, values_that_are_no_numbers) {
    fake_mlflow server;
    mlflow_sink sink(settings_for(server.uri()), memory(), patience());
    sink.start(description());
    constexpr double infinity = std::numeric_limits<double>::infinity();
    sink.epoch({0, 0, {{"a", std::numeric_limits<double>::quiet_NaN()}, {"b", infinity}, {"c", -infinity}}});
    sink.end(ending::finished, {});
    const auto metrics = server.only_run().metrics;
    ASSERT_EQ(metrics.size(), 3U);
    EXPECT_EQ(metrics[0].value, "NaN");
    EXPECT_EQ(metrics[1].value, "Infinity");
    EXPECT_EQ(metrics[2].value, "-Infinity");
}

TEST_F(mlflow, a_server_that_is_away_at_the_start_gets_all_later) {
    std::atomic<bool> away = true;
    fake_mlflow server([&](const auto&, auto& connection) {
        if (away) connection.reset();
        return away.load();
    });
    after_epoch_ = [&] {
        std::this_thread::sleep_for(20ms);
        away = false;
    };
    mlflow_sink sink(settings_for(server.uri()), memory(), patience());
    expect_one_warning(train(sink), "cannot be reached");
    expect_all(server.only_run());
}

TEST_F(mlflow, a_server_that_never_answers_delays_the_end_and_no_step) {
    const std::string nobody = url_of_nobody("");
    mlflow_patience short_of_it = patience();
    short_of_it.end_unreached = 100ms;
    mlflow_sink sink(settings_for(nobody), memory(), short_of_it);
    const auto begun = std::chrono::steady_clock::now();
    const std::vector<std::string> warnings = train(sink);
    EXPECT_LT(std::chrono::steady_clock::now() - begun, 2s);
    ASSERT_EQ(warnings.size(), 2U) << ::testing::PrintToString(warnings);
    EXPECT_NE(warnings[0].find("cannot be reached"), std::string::npos) << warnings[0];
    EXPECT_NE(warnings[1].find("35 values and 1 file could not be delivered"), std::string::npos)
        << warnings[1];
}

TEST_F(mlflow, a_server_that_dies_midway_gets_the_rest_when_it_is_back) {
    std::atomic<int> requests = 0;
    fake_mlflow server([&](const auto&, auto& connection) {
        const int number = ++requests;
        const bool dead = number > 4 && number < 9;
        if (dead) connection.reset();
        return dead;
    });
    after_epoch_ = [] { std::this_thread::sleep_for(30ms); };
    mlflow_sink sink(settings_for(server.uri()), memory(), patience());
    expect_one_warning(train(sink), "cannot be reached");
    expect_all(server.only_run());
}

TEST_F(mlflow, throttling_and_server_errors_are_waited_out) {
    std::atomic<int> requests = 0;
    fake_mlflow server([&](const auto&, auto& connection) {
        constexpr std::array statuses{"429 Too Many Requests", "500 Internal Server Error", "503 No", ""};
        const std::string status = statuses[static_cast<std::size_t>(requests++) % statuses.size()];
        if (!status.empty()) send_answer(connection, status, "Retry-After: 1\r\n", secret);
        return !status.empty();
    });
    mlflow_sink sink(settings_for(server.uri()), memory(), patience());
    expect_one_warning(train(sink), "is out of order (the server answers 429)");
    expect_all(server.only_run());
}

TEST_F(mlflow, a_server_asks_to_be_left_alone_for_a_second) {
    std::atomic<int> requests = 0;
    fake_mlflow server([&](const auto&, auto& connection) {
        const bool first = requests++ == 0;
        if (first) send_answer(connection, "429 Too Many Requests", "Retry-After: 1\r\n");
        return first;
    });
    mlflow_patience patient = patience();
    patient.longest_wait = 10s;
    mlflow_sink sink(settings_for(server.uri()), memory(), patient);
    sink.start(description());
    std::this_thread::sleep_for(500ms);
    EXPECT_EQ(requests, 1);
    std::this_thread::sleep_for(1s);
    EXPECT_GT(requests, 1);
    sink.end(ending::finished, {});
}

TEST_F(mlflow, a_server_that_hangs_ends_nothing_but_its_turn) {
    std::atomic<int> requests = 0;
    fake_mlflow server([&](const auto&, auto& connection) {
        const bool hangs = ++requests > 1; // the run is there
        if (hangs) connection.stall(30s);
        return hangs;
    });
    for (const ending how : {ending::finished, ending::stopped}) {
        requests = 0;
        mlflow_settings settings = settings_for(server.uri());
        settings.timeout = 500ms;
        mlflow_sink sink(settings, memory(), patience());
        const auto begun = std::chrono::steady_clock::now();
        after_epoch_ = [&] { EXPECT_LT(std::chrono::steady_clock::now() - begun, 1s) << "it waited"; };
        const auto warnings = train(sink, 3, how);
        EXPECT_LT(std::chrono::steady_clock::now() - begun, 6s);
        ASSERT_FALSE(warnings.empty());
        EXPECT_NE(warnings.back().find("could not be delivered"), std::string::npos) << warnings.back();
    }
}

TEST_F(mlflow, what_is_refused_is_left_out_alone) {
    fake_mlflow server;
    server.add_run("given");
    {
        mlflow_sink sink(settings_for(server.uri(), {{"MLFLOW_RUN_ID", "given"}}), memory(), patience());
        sink.start({.identity = "another", .parameters = {{"epochs", "5"}}}); // a platform's own
        sink.end(ending::finished, {});
    }
    mlflow_sink sink(settings_for(server.uri(), {{"MLFLOW_RUN_ID", "given"}}), memory(), patience());
    expect_one_warning(train(sink), "does not take the parameter epochs");
    told_run run = server.only_run();
    EXPECT_EQ(run.parameters.at("epochs"), "5");
    EXPECT_EQ(run.parameters.at("base_lr"), "0.002");
    run.parameters["epochs"] = "4";
    expect_all(run);
}

TEST_F(mlflow, a_full_buffer_leaves_out_steps_and_no_epoch) {
    std::atomic<bool> away = true;
    fake_mlflow server([&](const auto&, auto& connection) {
        if (away) connection.reset();
        return away.load();
    });
    mlflow_patience small = patience();
    small.most_metrics = 15;
    after_epoch_ = [&, count = 0]() mutable { away = ++count < 3; };
    mlflow_sink sink(settings_for(server.uri()), memory(), small);
    const std::vector<std::string> warnings = train(sink);
    EXPECT_TRUE(std::ranges::any_of(
        warnings, [](const std::string& line) { return line.find("is full") != line.npos; }));
    std::int64_t epochs = 0;
    for (const told_metric& each : server.only_run().metrics)
        if (each.name == "error_rate") {
            EXPECT_EQ(each.step, epochs++);
        }
    EXPECT_EQ(epochs, 3);
}

TEST_F(mlflow, a_user_and_a_password) {
    fake_mlflow server;
    mlflow_sink sink(
        settings_for(server.uri(), {{"MLFLOW_TRACKING_USERNAME", "u"}, {"MLFLOW_TRACKING_PASSWORD", "p"}}),
        memory(), patience());
    EXPECT_EQ(train(sink), std::vector<std::string>());
    EXPECT_EQ(server.requests().front().header("authorization"), "Basic dTpw");
}

TEST_F(mlflow, a_wrong_password_is_one_warning) {
    fake_mlflow server([](const auto&, auto& connection) {
        send_answer(connection, "403 Forbidden", "", R"({"message":"no a-token-that-nobody-may-see"})");
        return true;
    });
    mlflow_settings settings = settings_for(server.uri());
    settings.timeout = 500ms;
    mlflow_sink sink(settings, memory(), patience());
    const std::vector<std::string> warnings = train(sink);
    ASSERT_EQ(warnings.size(), 2U);
    EXPECT_NE(warnings[0].find("does not let petnet in (the server answers 403 (no ***))"), std::string::npos)
        << warnings[0];
}

TEST_F(mlflow, an_answer_of_another_kind_of_server_is_one_warning) {
    fake_mlflow server([](const auto&, auto& connection) {
        send_answer(connection, "200 OK", "", "[1, {\"run\": 3}]");
        return true;
    });
    for (const char* given : {"", "RID"}) {
        mlflow_sink sink(settings_for(server.uri(), {{"MLFLOW_RUN_ID", given}}), memory(), patience());
        expect_one_warning(train(sink), "none of an MLflow server");
    }
}

TEST(mlflow_settings, of_an_azure_workspace) {
    std::map<std::string, std::string> variables{
        {"MLFLOW_TRACKING_URI",
         "azureml://westeurope.api.azureml.ms/mlflow/v1.0/subscriptions/S/resourceGroups/G/"
         "providers/Microsoft.MachineLearningServices/workspaces/W?"}};
    const auto settings = read_mlflow_settings([&](const char* name) { return variables[name]; });
    EXPECT_EQ(settings->api, "https://westeurope.api.azureml.ms/mlflow/v2.0/subscriptions/S/resourceGroups/G/"
                             "providers/Microsoft.MachineLearningServices/workspaces/W/api/2.0/mlflow");
    EXPECT_EQ(settings->history,
              "https://westeurope.api.azureml.ms/history/v1.0/subscriptions/S/resourceGroups/"
              "G/providers/Microsoft.MachineLearningServices/workspaces/W");
}

TEST(mlflow_settings, of_no_server_and_of_none_that_petnet_knows) {
    const auto with = [](const std::string& uri) {
        return [uri](const char* name) { return name == std::string("MLFLOW_TRACKING_URI") ? uri : ""; };
    };
    EXPECT_FALSE(read_mlflow_settings(with("")));
    for (const char* uri : {"file:///tmp/mlruns", "databricks", "azureml://host/x", "sqlite:///a.db"})
        EXPECT_THROW(static_cast<void>(read_mlflow_settings(with(uri))), usage_error) << uri;
    EXPECT_EQ(read_mlflow_settings(with("http://u:p@host:5000/base/"))->api,
              "http://u:p@host:5000/base/api/2.0/mlflow");
    EXPECT_EQ(read_mlflow_settings(with("http://u:p@host:5000"))->shown, "MLflow at http://host:5000");
}

TEST(mlflow_client, tokens_and_texts) {
    EXPECT_GT(expiry_of(token_for(60)), 1'700'000'000);
    for (const char* none : {"", "a", "a.b", "a.!.c", "a.e30.c", "a.W10.c", "..."})
        EXPECT_EQ(expiry_of(none), 0);
    EXPECT_EQ(shortened("abc", 5), "abc");
    EXPECT_EQ(shortened("ab\xc3\xa4", 3), "ab");
}

} // namespace
