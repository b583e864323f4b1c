// SPDX-License-Identifier: Apache-2.0
// A run of Azure Machine Learning: its tokens, and where its files go.
#include "tests/train/tracking/mlflow_training.hpp"

using namespace petnet;
using namespace petnet::testing;
using namespace petnet::tracking;
using namespace std::chrono_literals;

namespace {

class azure : public mlflow {
  protected:
    azure() { ::setenv("CURL_CA_BUNDLE", (folder_.path() / "certificate.pem").c_str(), 1); }
    ~azure() override {
        if (bundle_.empty())
            ::unsetenv("CURL_CA_BUNDLE");
        else
            ::setenv("CURL_CA_BUNDLE", bundle_.c_str(), 1);
    }

    [[nodiscard]] mlflow_settings job_settings(const fake_mlflow& server, const std::string& token) const {
        return settings_for(server.uri(), {{"MLFLOW_TRACKING_TOKEN", token},
                                           {"MLFLOW_RUN_ID", "RID"},
                                           {"MLFLOW_EXPERIMENT_ID", "EID"},
                                           {"AZUREML_RUN_ID", "RID"}});
    }
    [[nodiscard]] static std::size_t renewals(const fake_mlflow& server) {
        const auto requests = server.requests();
        return static_cast<std::size_t>(std::ranges::count_if(requests, [](const http_request& each) {
            return each.target.ends_with("/experimentids/EID/runs/RID/token");
        }));
    }

  private:
    std::string bundle_ = from_environment("CURL_CA_BUNDLE"); // this machine's own
};

TEST_F(azure, a_job_tells_its_run_and_does_not_end_it) {
    fake_mlflow server({}, folder_.path());
    server.add_run("RID");
    mlflow_sink sink(job_settings(server, token_for(7200)), memory(), patience());
    EXPECT_EQ(train(sink), std::vector<std::string>());
    expect_all(server.only_run());
    EXPECT_EQ(server.only_run().status, "RUNNING");
    EXPECT_EQ(renewals(server), 0U);
}

TEST_F(azure, a_token_is_renewed_before_it_ends) {
    fake_mlflow server({}, folder_.path());
    server.add_run("RID");
    const std::string old = token_for(60); // from now on
    mlflow_sink sink(job_settings(server, old), memory(), patience());
    EXPECT_EQ(train(sink), std::vector<std::string>());
    expect_all(server.only_run());
    EXPECT_EQ(renewals(server), 1U);
    EXPECT_EQ(server.requests().front().header("authorization"), "Bearer " + old)
        << "the old one asks for the new one";
}

TEST_F(azure, a_token_that_is_refused_is_renewed_once) {
    fake_mlflow server({}, folder_.path());
    server.add_run("RID");
    server.take_only(token_for(7200, "the other"));
    mlflow_sink sink(job_settings(server, token_for(7200)), memory(), patience());
    EXPECT_EQ(train(sink), std::vector<std::string>());
    expect_all(server.only_run());
    EXPECT_EQ(renewals(server), 1U);
}

TEST_F(azure, files_that_an_interrupted_job_has_uploaded_stay) {
    fake_mlflow server({}, folder_.path());
    server.add_run("RID");
    for (int i = 0; i < 2; ++i) {
        mlflow_sink sink(job_settings(server, token_for(7200)), memory(), patience());
        EXPECT_EQ(train(sink), std::vector<std::string>());
    }
    EXPECT_EQ(server.only_run().artifacts.at("model/note.txt"), "weights");
}

TEST_F(azure, a_large_file_goes_in_blocks) {
    fake_mlflow server({}, folder_.path());
    server.add_run("RID");
    std::string content(65ULL * 1024 * 1024, 'a');
    for (std::size_t i = 0; i < content.size(); i += 1000)
        content[i] = static_cast<char>('a' + i / 1000 % 26);
    const auto file = folder_.write("large", content);
    mlflow_sink sink(job_settings(server, token_for(7200)), memory(), patience());
    sink.start(description());
    sink.keep({.name = "model/large", .file = file});
    sink.end(ending::finished, {});
    EXPECT_EQ(sink.take_warnings(), std::vector<std::string>());
    EXPECT_TRUE(server.only_run().artifacts.at("model/large") == content);
}

TEST_F(azure, what_the_platform_uploads_is_not_sent) {
    fake_mlflow server({}, folder_.path());
    server.add_run("RID");
    mlflow_sink sink(job_settings(server, token_for(7200)), memory(), patience());
    sink.start(description());
    sink.keep({.name = "run.json", .file = "outputs/run.json"});
    sink.keep({.name = "other.json", .file = folder_.write("other.json", "{}")});
    sink.end(ending::finished, {});
    EXPECT_EQ(server.only_run().artifacts.size(), 1U);
}

} // namespace
