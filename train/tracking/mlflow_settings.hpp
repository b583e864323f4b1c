// SPDX-License-Identifier: Apache-2.0
// Which MLflow server to talk to, as whom and about which run: MLflow's own environment variables.
#pragma once

#include <chrono>
#include <functional>
#include <optional>
#include <string>
#include <string_view>

namespace petnet::tracking {

struct mlflow_settings {
    std::string api;   // "https://host/api/2.0/mlflow", to which "/runs/get" is added
    std::string proxy; // ".../api/2.0/mlflow-artifacts/artifacts" of the same server
    std::string shown; // the server without secrets, for people and for the file that remembers a run
    // Azure Machine Learning: ".../history/v1.0/subscriptions/.../workspaces/W", which gives tokens and
    // places for artifacts. Empty: a plain MLflow server.
    std::string history;
    std::string token, user, password; // user and password win over the token
    std::string run_id;                // empty: a run is to be created
    std::string experiment_id, experiment_name, run_name;
    std::string azure_job_run; // of the Azure ML job that petnet runs in: its ./outputs and ./logs are
                               // uploaded by the platform
    bool verify_certificate = true;
    std::chrono::milliseconds timeout{120'000}; // without a byte from the server

    [[nodiscard]] bool is_azure() const { return !history.empty(); }
};

// The value of an environment variable; empty: not set.
using environment = std::function<std::string(const char* name)>;
[[nodiscard]] std::string from_environment(const char* name); // the process's own

// Nothing where MLFLOW_TRACKING_URI is not set. usage_error where it is no address of a server
// (http, https, azureml).
[[nodiscard]] std::optional<mlflow_settings> read_mlflow_settings(const environment& variables);

} // namespace petnet::tracking
