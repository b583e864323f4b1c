// SPDX-License-Identifier: Apache-2.0
// Which run in MLflow a training is told to: the one that the settings name, the one that the training began
// before it was interrupted, or a new one.
#pragma once

#include "train/tracking/mlflow_client.hpp"
#include "train/tracking/sink.hpp"

#include <cstdint>
#include <filesystem>
#include <map>
#include <string>

namespace petnet::tracking {

// ms since 1970
[[nodiscard]] std::int64_t now_ms();

// Used by one thread at a time. `client` outlives it.
class mlflow_run {
  public:
    // `memory`: a file that remembers the run that was created.
    mlflow_run(mlflow_client& client, std::filesystem::path memory);

    // Finds or creates it; may be tried again until it is open.
    [[nodiscard]] mlflow_answer open(const run_start& run);
    [[nodiscard]] bool is_open() const { return !id_.empty(); }

    [[nodiscard]] const std::string& id() const { return id_; }
    [[nodiscard]] const std::string& artifact_uri() const { return artifact_uri_; }
    // By petnet, now or before it was interrupted; such a run ends with the training.
    [[nodiscard]] bool created() const { return created_; }
    // Whether this very training logged it before it was interrupted.
    [[nodiscard]] bool has(const metric_point& metric) const;
    // Whether the machine's own software brings the file to the run.
    [[nodiscard]] bool uploads_itself(const artifact& result) const;

  private:
    [[nodiscard]] mlflow_answer resume(const std::string& id, const std::string& identity);
    [[nodiscard]] mlflow_answer create(const std::string& standard_name);
    void remember() const;
    [[nodiscard]] std::string remembered() const;

    mlflow_client& client_;
    std::filesystem::path memory_;
    std::string id_, artifact_uri_;
    bool created_ = false;
    std::map<std::string, std::int64_t> known_to_; // steps that the run has already, by metric
};

} // namespace petnet::tracking
