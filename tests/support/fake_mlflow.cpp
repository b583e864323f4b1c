// SPDX-License-Identifier: Apache-2.0
#include "tests/support/fake_mlflow.hpp"

#include <chrono>
#include <gtest/gtest.h>
#include <openssl/evp.h>

namespace petnet::testing {
namespace {

using nlohmann::json;

constexpr std::string_view azure_workspace =
    "/subscriptions/S/resourceGroups/G/providers/Microsoft.MachineLearningServices/workspaces/W";

void send_json(http_connection& connection, const json& body, const std::string& status = "200 OK") {
    send_answer(connection, status, "Content-Type: application/json\r\n", body.dump());
}

void send_error(http_connection& connection, const std::string& status, const std::string& code) {
    send_json(connection, {{"error_code", code}, {"message", "told by the test's server"}}, status);
}

std::string query_of(const std::string& target) {
    const std::size_t at = target.find('=');
    std::string value = at == std::string::npos ? "" : target.substr(at + 1);
    for (std::size_t i = 0; (i = value.find("%20", i)) != std::string::npos;) value.replace(i, 3, " ");
    return value;
}

} // namespace

std::string token_for(std::int64_t seconds, const std::string& name) {
    const auto now =
        std::chrono::duration_cast<std::chrono::seconds>(std::chrono::system_clock::now().time_since_epoch())
            .count();
    const std::string claims = json{{"exp", now + seconds}, {"sub", name}}.dump();
    std::string text(4 * claims.size(), '\0');
    text.resize(static_cast<std::size_t>(EVP_EncodeBlock(
        reinterpret_cast<unsigned char*>(text.data()), reinterpret_cast<const unsigned char*>(claims.data()),
        static_cast<int>(claims.size()))));
    while (text.ends_with('=')) text.pop_back();
    return "e30." + text + ".signature";
}

fake_mlflow::fake_mlflow(fault fails, const std::filesystem::path& azure_folder)
    : fails_(std::move(fails)),
      azure_(!azure_folder.empty()),
      server_(
          [this](const http_request& request, http_connection& connection) {
              if (!fails_ || !fails_(request, connection)) answer(request, connection);
          },
          azure_folder) {}

std::string fake_mlflow::uri() const {
    if (!azure_) return server_.url("");
    const std::string url = server_.url("/mlflow/v1.0" + std::string(azure_workspace) + "?");
    return "azureml" + url.substr(url.find(':'));
}

std::map<std::string, told_run> fake_mlflow::runs() const {
    const std::lock_guard lock(mutex_);
    return runs_;
}

told_run fake_mlflow::only_run() const {
    const auto all = runs();
    EXPECT_EQ(all.size(), 1U);
    return all.empty() ? told_run() : all.begin()->second;
}

void fake_mlflow::add_run(const std::string& id) {
    const std::lock_guard lock(mutex_);
    runs_[id] = {};
}

void fake_mlflow::take_only(const std::string& token) {
    const std::lock_guard lock(mutex_);
    token_ = token;
}

json fake_mlflow::run_json(const std::string& id) const {
    const told_run& run = runs_.at(id);
    json tags = json::array(), metrics = json::array();
    for (const auto& [key, value] : run.tags) tags.push_back({{"key", key}, {"value", value}});
    std::map<std::string, json> last;
    for (const told_metric& each : run.metrics)
        last[each.name] = {{"key", each.name}, {"step", each.step}, {"value", each.value}};
    for (const auto& [name, metric] : last) metrics.push_back(metric);
    const std::string place = azure_ ? server_.url("/mlflow/v2.0" + std::string(azure_workspace) +
                                                   "/experiments/EXP/runs/" + id + "/artifacts")
                                     : "mlflow-artifacts:/0/" + id + "/artifacts";
    return {{"run",
             {{"info",
               {{"run_id", id},
                {"status", run.status},
                {"artifact_uri", azure_ ? "azureml" + place.substr(place.find(':')) : place}}},
              {"data", {{"tags", tags}, {"metrics", metrics}}}}}};
}

void fake_mlflow::answer(const http_request& request, http_connection& connection) {
    const std::lock_guard lock(mutex_);
    const std::string& target = request.target;
    const std::string blobs = "/blobs/", proxy = "/api/2.0/mlflow-artifacts/artifacts/0/";
    if (azure_ && target.starts_with(blobs)) return answer_azure(request, connection);
    if (!token_.empty() && request.header("authorization") != "Bearer " + token_ &&
        !target.ends_with("/token"))
        return send_error(connection, "401 Unauthorized", "UserError");
    if (azure_ && target.starts_with("/history/")) return answer_azure(request, connection);
    if (target.starts_with(proxy)) { // RUN/artifacts/NAME
        const std::string rest = target.substr(proxy.size());
        const std::size_t id_end = rest.find('/');
        runs_[rest.substr(0, id_end)].artifacts[rest.substr(id_end + std::string("/artifacts/").size())] =
            request.body;
        return send_json(connection, json::object());
    }
    const std::string api =
        (azure_ ? "/mlflow/v2.0" + std::string(azure_workspace) : "") + "/api/2.0/mlflow/";
    if (!target.starts_with(api)) return send_answer(connection, "404 Not Found");
    answer_api(request, target.substr(api.size()), connection);
}

void fake_mlflow::answer_api(const http_request& request, const std::string& call,
                             http_connection& connection) {
    const json body = request.body.empty() ? json::object() : json::parse(request.body);
    if (call.starts_with("experiments/get-by-name?")) {
        const auto found = experiments_.find(query_of(call));
        if (found == experiments_.end())
            return send_error(connection, "404 Not Found", "RESOURCE_DOES_NOT_EXIST");
        return send_json(connection, {{"experiment", {{"experiment_id", found->second}}}});
    }
    if (call == "experiments/create") {
        const std::string id = std::to_string(experiments_.size() + 1);
        experiments_[body.at("name")] = id;
        return send_json(connection, {{"experiment_id", id}});
    }
    if (call == "runs/create") {
        const std::string id = "run" + std::to_string(runs_.size());
        runs_[id].name = body.at("run_name");
        for (const json& tag : body.at("tags")) runs_[id].tags[tag.at("key")] = tag.at("value");
        return send_json(connection, run_json(id));
    }
    const std::string id =
        call.starts_with("runs/get?") ? query_of(call) : body.at("run_id").get<std::string>();
    if (!runs_.contains(id)) return send_error(connection, "404 Not Found", "RESOURCE_DOES_NOT_EXIST");
    if (call.starts_with("runs/get?")) return send_json(connection, run_json(id));
    told_run& run = runs_[id];
    if (call == "runs/update") {
        run.status = body.at("status");
        return send_json(connection, json::object());
    }
    if (call != "runs/log-batch") return send_answer(connection, "404 Not Found");
    for (const json& each : body.at("params")) { // one that has another value already refuses the request
        const auto there = run.parameters.find(each.at("key"));
        if (there != run.parameters.end() && there->second != each.at("value"))
            return send_error(connection, "400 Bad Request", "INVALID_PARAMETER_VALUE");
    }
    run.largest_batch = std::max(run.largest_batch, body.at("metrics").size());
    for (const json& each : body.at("params")) run.parameters[each.at("key")] = each.at("value");
    for (const json& each : body.at("tags")) run.tags[each.at("key")] = each.at("value");
    for (const json& each : body.at("metrics"))
        run.metrics.push_back({each.at("key"), each.at("value"), each.at("step")});
    send_json(connection, json::object());
}

void fake_mlflow::answer_azure(const http_request& request, http_connection& connection) {
    const std::string history = "/history/v1.0" + std::string(azure_workspace);
    const std::string& target = request.target;
    if (target.ends_with("/token"))
        return send_json(connection, {{"token", token_.empty() ? token_for(7200, "renewed") : token_},
                                      {"expiryTimeUtc", "2099-01-01T00:00:00Z"}});
    if (target.ends_with("/artifacts/batch/metadata")) {
        const std::size_t runs = target.find("/runs/") + 6;
        const std::string run = target.substr(runs, target.find('/', runs) - runs);
        json places = json::object();
        const json asked = json::parse(request.body);
        for (const json& each : asked.at("paths")) {
            const std::string path = each.at("path");
            places[path] = {{"contentUri", server_.url("/blobs/" + run + "/" + path + "?sig=secret")},
                            {"path", path}};
        }
        return send_json(connection, {{"artifactContentInformation", places}, {"errors", json::object()}});
    }
    if (!target.starts_with("/blobs/")) return send_answer(connection, "404 Not Found");
    if (!request.header("authorization").empty()) // a blob store refuses it beside a signature
        return send_answer(connection, "403 Forbidden");
    const std::string rest = target.substr(7, target.find('?') - 7);
    const std::size_t id_end = rest.find('/');
    auto& artifacts = runs_[rest.substr(0, id_end)].artifacts;
    const std::string name = rest.substr(id_end + 1);
    const std::string mark = "&comp=block&blockid=";
    if (const std::size_t block = target.find(mark); block != std::string::npos) {
        blocks_[target.substr(block + mark.size())] = request.body;
        return send_answer(connection, "201 Created");
    }
    if (request.header("if-none-match") != "*") return send_answer(connection, "400 Bad Request");
    if (artifacts.contains(name)) return send_answer(connection, "409 Conflict");
    if (target.ends_with("&comp=blocklist")) {
        for (const auto& [id, bytes] : blocks_) artifacts[name] += bytes; // ids are in order
        blocks_.clear();
    } else if (request.header("x-ms-blob-type") == "BlockBlob") {
        artifacts[name] = request.body;
    } else {
        return send_answer(connection, "400 Bad Request");
    }
    send_answer(connection, "201 Created");
}

} // namespace petnet::testing
