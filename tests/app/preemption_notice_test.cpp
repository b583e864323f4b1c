// SPDX-License-Identifier: Apache-2.0
// Azure's notice that this machine will be taken away, from a service of ours.
#include "tests/app/folders.hpp"
#include "tests/support/http_server.hpp"

#include <atomic>

using namespace petnet::testing;

namespace {

class preemption_notice : public work_folder {
  protected:
    preemption_notice()
        : service_([this](const http_request& request, http_connection& connection) {
              if (request.header("metadata") != "true") return send_answer(connection, "400 Bad Request");
              if (request.target.starts_with("/metadata/instance/compute/name"))
                  return send_answer(connection, "200 OK", "", "vm_7");
              const std::string events =
                  announced_
                      ? R"({"EventId":"A","EventType":"Preempt","Resources":["vm_7"]})"
                      : R"({"EventId":"B","EventType":"Preempt","Resources":["vm_8"]},{"EventType":"Reboot"})";
              send_answer(connection, "200 OK", "", R"({"DocumentIncarnation":1,"Events":[)" + events + "]}");
          }) {}

    [[nodiscard]] arguments noticed(const std::string& output, const arguments& more = {}) const {
        arguments words = training(at("d"), output, more);
        words.insert(words.end(), {"--epochs", "30", "--scheduled-events", service_.url("")});
        return words;
    }

    std::atomic<bool> announced_ = false;
    http_server service_;
};

TEST_F(preemption_notice, saves_a_checkpoint_and_ends_as_a_signal_does) {
    photographs("d");
    program running(noticed("o"));
    ASSERT_TRUE(running.wait_until([&] { return lines_of(content_of(at("o/metrics.jsonl"))).size() >= 3; }));
    announced_ = true;
    const outcome stopped = running.end();
    EXPECT_EQ(stopped.code, 143) << stopped.err;
    EXPECT_NE(stopped.err.find("Warning: this machine is about to be taken away"), std::string::npos)
        << stopped.err;
    EXPECT_TRUE(fs::exists(at("o/checkpoint/state.safetensors")));
    EXPECT_EQ(record_of("o").at("status"), "interrupted");
}

// Azure ML counts a job that exits as done: it is not started again.
TEST_F(preemption_notice, in_an_azure_job_saves_a_checkpoint_and_goes_on) {
    photographs("d", 40);
    arguments words = noticed("o", {"--freeze-epochs", "0"});
    program running(words, {.environment = {{"AZUREML_RUN_ID", "R"}}});
    ASSERT_TRUE(running.wait_until([&] { return lines_of(content_of(at("o/metrics.jsonl"))).size() >= 2; }));
    announced_ = true;
    ASSERT_TRUE(
        running.wait_until([&] { return running.err_so_far().find("is saved") != std::string::npos; }));
    const std::size_t then = lines_of(content_of(at("o/metrics.jsonl"))).size();
    EXPECT_TRUE(
        running.wait_until([&] { return lines_of(content_of(at("o/metrics.jsonl"))).size() > then + 8; }));
    EXPECT_TRUE(fs::exists(at("o/checkpoint/state.safetensors")));
    EXPECT_EQ(running.err_so_far().find("is saved"), running.err_so_far().rfind("is saved")) << "told twice";
}

TEST_F(preemption_notice, a_service_that_is_not_there_is_one_warning) {
    arguments words = training(photographs("d", 10), "o", {"--epochs", "0"});
    words.insert(words.end(), {"--scheduled-events", url_of_nobody("")});
    const outcome result = run(words);
    EXPECT_EQ(result.code, 0) << result.err;
    const std::size_t told = result.err.find("does not tell of scheduled events");
    EXPECT_NE(told, std::string::npos) << result.err;
    EXPECT_EQ(told, result.err.rfind("does not tell of scheduled events"));
}

} // namespace
