// SPDX-License-Identifier: Apache-2.0
// An MLflow server in a test's own process, plain or in the dialect of Azure Machine Learning: it remembers
// what it was told, and fails as a test says. What the real ones do: tests/train/tracking/peers.
#pragma once

#include "tests/support/http_server.hpp"

#include <cstdint>
#include <filesystem>
#include <functional>
#include <map>
#include <mutex>
#include <nlohmann/json.hpp>
#include <string>
#include <utility>
#include <vector>

namespace petnet::testing {

struct told_metric {
    std::string name;
    nlohmann::json value;
    std::int64_t step = 0;
};

struct told_run {
    std::string status = "RUNNING", name;
    std::vector<told_metric> metrics;
    std::map<std::string, std::string> parameters, tags, artifacts;
    std::size_t largest_batch = 0; // metrics in one request
};

class fake_mlflow {
  public:
    // May answer a request instead of the server; whether it did.
    using fault = std::function<bool(const http_request&, http_connection&)>;

    // With a folder for its certificate it is Azure's, by https: paths of a workspace W, tokens, a blob
    // store.
    explicit fake_mlflow(fault fails = {}, const std::filesystem::path& azure_folder = {});

    [[nodiscard]] std::string uri() const; // for MLFLOW_TRACKING_URI
    [[nodiscard]] std::map<std::string, told_run> runs() const;
    [[nodiscard]] told_run only_run() const; // a failure of the test where there is not one
    [[nodiscard]] std::vector<http_request> requests() const { return server_.requests(); }
    // A run that somebody else began.
    void add_run(const std::string& id);
    // From now on this token alone is taken (Azure).
    void take_only(const std::string& token);

  private:
    void answer(const http_request& request, http_connection& connection);
    void answer_api(const http_request& request, const std::string& call, http_connection& connection);
    void answer_azure(const http_request& request, http_connection& connection);
    [[nodiscard]] nlohmann::json run_json(const std::string& id) const;

    fault fails_;
    bool azure_;
    mutable std::mutex mutex_;
    std::map<std::string, told_run> runs_;
    std::map<std::string, std::string> experiments_, blocks_;
    std::string token_;
    http_server server_; // last: it answers from the rest
};

// A JSON Web Token that ends in so many seconds.
[[nodiscard]] std::string token_for(std::int64_t seconds, const std::string& name = "petnet");

} // namespace petnet::testing
