// SPDX-License-Identifier: Apache-2.0
// The calls of MLflow's REST interface that petnet makes, of plain servers and of Azure Machine Learning,
// each sent once.
#pragma once

#include "net/http_client.hpp"
#include "train/tracking/mlflow_settings.hpp"
#include "train/tracking/sink.hpp"

#include <chrono>
#include <cstdint>
#include <functional>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

namespace petnet::tracking {

struct mlflow_answer {
    enum class kind {
        done,
        unreachable,  // no answer
        unauthorised, // 401, 403
        passing,      // 408, 429, 5xx: the same call may succeed later
        refused,      // it will not
        unsupported,  // not even tried
        cancelled
    } what = kind::done;
    int status = 0;       // of HTTP; 0: no answer
    std::string reason{}; // in one line, without secrets
    std::string code{};   // "RESOURCE_DOES_NOT_EXIST", ...
    nlohmann::json body{};
    std::chrono::seconds retry_after{0};

    [[nodiscard]] bool ok() const { return what == kind::done; }
};

struct metric_point {
    std::string name;
    double value = 0;
    std::int64_t step = 0, time = 0; // ms since 1970
};

struct mlflow_batch {
    std::vector<metric_point> metrics;
    std::vector<entry> parameters, tags;

    [[nodiscard]] std::size_t size() const { return metrics.size() + parameters.size() + tags.size(); }
};

class mlflow_client {
  public:
    // `go_on` as net::http_call's, asked during every call.
    mlflow_client(mlflow_settings settings, std::function<bool(std::uint64_t)> go_on);

    [[nodiscard]] const mlflow_settings& settings() const { return settings_; }

    [[nodiscard]] mlflow_answer get_run(const std::string& run_id);
    // The id of the experiment that the settings name, which is made where there is none of its name;
    // body: {"experiment_id": "..."}.
    [[nodiscard]] mlflow_answer find_experiment();
    [[nodiscard]] mlflow_answer create_run(const std::string& experiment_id, const std::string& name,
                                           const std::vector<entry>& tags, std::int64_t time);
    [[nodiscard]] mlflow_answer log_batch(const std::string& run_id, const mlflow_batch& batch);
    // "RUNNING", "FINISHED", "FAILED" or "KILLED", the last three with the time of the end.
    [[nodiscard]] mlflow_answer update_run(const std::string& run_id, const std::string& status,
                                           std::int64_t time);
    // Into the run's `artifact_uri`, as get_run told it. An artifact that Azure has already is done.
    [[nodiscard]] mlflow_answer upload(const std::string& artifact_uri, const artifact& result);

    // A run that is to come gets its tokens by this id.
    void use_run(const std::string& run_id) { run_id_ = run_id; }

  private:
    [[nodiscard]] mlflow_answer call(const std::string& method, const std::string& url,
                                     const nlohmann::json& body = {});
    [[nodiscard]] mlflow_answer send(net::http_call call, bool authorise);
    [[nodiscard]] mlflow_answer judged(const net::http_answer& answer) const;
    [[nodiscard]] std::string without_secrets(std::string text) const;

    void refresh_token_in_time();
    [[nodiscard]] bool refresh_token();

    [[nodiscard]] mlflow_answer upload_to_azure(const std::string& artifact_uri, const artifact& result);
    [[nodiscard]] mlflow_answer put_blob(const std::string& url, const artifact& result);

    mlflow_settings settings_;
    std::function<bool(std::uint64_t)> go_on_;
    net::http_client http_;
    std::string run_id_;
    std::chrono::steady_clock::time_point token_asked_{}; // when a new one was last asked for
};

// When a JSON Web Token ends, in seconds since 1970 (RFC 7519, "exp"); 0 where it is no such token.
[[nodiscard]] std::int64_t expiry_of(std::string_view token);

// As Azure's limits and older servers take them: texts are cut, whole characters at a time.
inline constexpr std::size_t longest_parameter = 500, longest_tag = 1000;
[[nodiscard]] std::string shortened(std::string text, std::size_t bytes);

} // namespace petnet::tracking
