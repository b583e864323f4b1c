// SPDX-License-Identifier: Apache-2.0
#include "train/tracking/mlflow_run.hpp"

#include "base/errors.hpp"
#include "base/files.hpp"

#include <algorithm>
#include <chrono>
#include <utility>

namespace petnet::tracking {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;

json child(const json& object, const char* name) {
    return object.is_object() && object.contains(name) ? object.at(name) : json();
}

std::string text_of(const json& object, const char* name) {
    const json found = child(object, name);
    return found.is_string() ? found.get<std::string>() : "";
}

// int64 may come as a number or, as protocol buffers' JSON has it, as a text.
std::int64_t step_of(const json& metric) {
    const json step = child(metric, "step");
    if (step.is_number_integer()) return step.get<std::int64_t>();
    try {
        return step.is_string() ? std::stoll(step.get<std::string>()) : 0;
    } catch (const std::exception&) {
        return 0;
    }
}

bool lies_within(const fs::path& file, const fs::path& folder) {
    std::error_code error;
    const fs::path relative =
        fs::weakly_canonical(file, error).lexically_relative(fs::weakly_canonical(folder, error));
    return !error && !relative.empty() && *relative.begin() != "..";
}

} // namespace

std::int64_t now_ms() {
    return std::chrono::duration_cast<std::chrono::milliseconds>(
               std::chrono::system_clock::now().time_since_epoch())
        .count();
}

mlflow_run::mlflow_run(mlflow_client& client, fs::path memory)
    : client_(client), memory_(std::move(memory)) {}

mlflow_answer mlflow_run::open(const run_start& run) {
    if (const std::string& given = client_.settings().run_id; !given.empty())
        return resume(given, run.identity);
    if (const std::string own = remembered(); !own.empty()) {
        created_ = true;
        mlflow_answer answer = resume(own, run.identity);
        if (answer.code != "RESOURCE_DOES_NOT_EXIST") return answer; // else somebody has removed it
    }
    return create(run.name);
}

mlflow_answer mlflow_run::resume(const std::string& id, const std::string& identity) {
    client_.use_run(id);
    mlflow_answer answer = client_.get_run(id);
    if (!answer.ok()) return answer;
    const json run = child(answer.body, "run"), info = child(run, "info"), data = child(run, "data");
    artifact_uri_ = text_of(info, "artifact_uri");
    // Of this very training: what it has logged before it was interrupted is not logged again.
    const json tags = child(data, "tags"), metrics = child(data, "metrics");
    const bool same =
        tags.is_array() && std::ranges::any_of(tags, [&](const json& tag) {
            return text_of(tag, "key") == "petnet.identity" && text_of(tag, "value") == identity;
        });
    if (same && metrics.is_array())
        for (const json& metric : metrics) known_to_[text_of(metric, "key")] = step_of(metric);
    if (created_) {
        mlflow_answer running = client_.update_run(id, "RUNNING", 0);
        if (!running.ok()) return running;
    }
    id_ = id;
    return answer;
}

mlflow_answer mlflow_run::create(const std::string& standard_name) {
    mlflow_answer experiment = client_.find_experiment();
    if (!experiment.ok()) return experiment;
    const std::string user = from_environment("USER");
    const std::string& name = client_.settings().run_name;
    std::vector<entry> tags{{"mlflow.source.name", "petnet"}, {"mlflow.source.type", "LOCAL"}};
    if (!user.empty()) tags.push_back({"mlflow.user", user});
    mlflow_answer answer = client_.create_run(text_of(experiment.body, "experiment_id"),
                                              name.empty() ? standard_name : name, tags, now_ms());
    if (!answer.ok()) return answer;
    const json info = child(child(answer.body, "run"), "info");
    id_ = text_of(info, "run_id");
    artifact_uri_ = text_of(info, "artifact_uri");
    created_ = true;
    client_.use_run(id_);
    remember();
    return answer;
}

void mlflow_run::remember() const {
    try {
        const json text{{"server", client_.settings().shown}, {"run_id", id_}};
        write_file_atomically(memory_, text.dump(-1, ' ', false, json::error_handler_t::replace) + "\n");
    } catch (const error&) { // a continued training will log into a run of its own then
    }
}

std::string mlflow_run::remembered() const {
    try {
        constexpr std::size_t longest = 4096;
        const std::vector<std::byte> bytes = read_file(memory_, longest);
        const auto* text = reinterpret_cast<const char*>(bytes.data());
        const json memory = json::parse(text, text + bytes.size(), nullptr, false);
        return text_of(memory, "server") == client_.settings().shown ? text_of(memory, "run_id") : "";
    } catch (const error&) {
        return "";
    }
}

bool mlflow_run::has(const metric_point& metric) const {
    const auto known = known_to_.find(metric.name);
    return known != known_to_.end() && metric.step <= known->second;
}

bool mlflow_run::uploads_itself(const artifact& result) const {
    const mlflow_settings& settings = client_.settings();
    return settings.is_azure() && settings.azure_job_run == id_ && !result.file.empty() &&
           (lies_within(result.file, "outputs") || lies_within(result.file, "logs"));
}

} // namespace petnet::tracking
