// SPDX-License-Identifier: Apache-2.0
#include "train/tracking/mlflow_client.hpp"

#include "net/url.hpp"

#include <algorithm>
#include <cctype>
#include <cmath>
#include <openssl/evp.h>
#include <string_view>
#include <utility>

namespace petnet::tracking {
namespace {

using namespace std::chrono_literals;
using nlohmann::json;
using kind = mlflow_answer::kind;

// Azure's tokens live for hours or minutes and are renewed when they have less than this left, as its own
// client does.
constexpr std::int64_t renew_before = 95; // s
constexpr auto between_renewals = 30s;
constexpr auto renew_unknown = 5min; // where a token does not say when it ends

constexpr int http_timeout = 408, http_too_many_requests = 429, http_conflict = 409;

std::string base64(std::string_view text) {
    std::string result(4 * ((text.size() + 2) / 3) + 1, '\0');
    const int size =
        EVP_EncodeBlock(reinterpret_cast<unsigned char*>(result.data()),
                        reinterpret_cast<const unsigned char*>(text.data()), static_cast<int>(text.size()));
    result.resize(static_cast<std::size_t>(size));
    return result;
}

// Without padding, and '-' and '_' for '+' and '/'; empty where it is no base64.
std::string from_base64url(std::string text) {
    std::ranges::replace(text, '-', '+');
    std::ranges::replace(text, '_', '/');
    const std::size_t padding = (4 - text.size() % 4) % 4;
    text.append(padding, '=');
    std::string result(text.size() / 4 * 3, '\0');
    const int size =
        EVP_DecodeBlock(reinterpret_cast<unsigned char*>(result.data()),
                        reinterpret_cast<const unsigned char*>(text.data()), static_cast<int>(text.size()));
    result.resize(size < 0 || padding == 3 ? 0 : static_cast<std::size_t>(size) - padding);
    return result;
}

json json_number(double value) {
    if (std::isnan(value)) return "NaN";
    if (std::isinf(value)) return value > 0 ? "Infinity" : "-Infinity";
    return value;
}

json entries_json(const std::vector<entry>& entries, std::size_t longest) {
    json list = json::array();
    for (const entry& each : entries)
        list.push_back({{"key", each.name}, {"value", shortened(each.value, longest)}});
    return list;
}

std::string dumped(const json& body) { return body.dump(-1, ' ', false, json::error_handler_t::replace); }

// What a server says of itself goes into one line of ours: no control characters, not too long.
std::string one_line(std::string text) {
    std::ranges::replace_if(
        text, [](unsigned char c) { return std::iscntrl(c) != 0; }, ' ');
    constexpr std::size_t longest = 200;
    return shortened(std::move(text), longest);
}

// null where there is none.
json child(const json& object, const std::string& name) {
    return object.is_object() && object.contains(name) ? object.at(name) : json();
}

// Empty where there is no such text.
std::string member(const json& object, const char* name) {
    const json found = child(object, name);
    return found.is_string() ? found.get<std::string>() : "";
}

mlflow_answer refusal(const std::string& reason) { return {.what = kind::refused, .reason = reason}; }

} // namespace

std::int64_t expiry_of(std::string_view token) {
    const std::size_t begin = token.find('.');
    if (begin == std::string_view::npos) return 0;
    const std::size_t end = token.find('.', begin + 1);
    if (end == std::string_view::npos) return 0;
    const json claims =
        json::parse(from_base64url(std::string(token.substr(begin + 1, end - begin - 1))), nullptr, false);
    if (!claims.is_object()) return 0;
    const auto found = claims.find("exp");
    return found != claims.end() && found->is_number_integer() ? found->get<std::int64_t>() : 0;
}

std::string shortened(std::string text, std::size_t bytes) {
    if (text.size() <= bytes) return text;
    while (bytes > 0 && (static_cast<unsigned char>(text[bytes]) & 0xc0U) == 0x80U) --bytes;
    text.resize(bytes);
    return text;
}

mlflow_client::mlflow_client(mlflow_settings settings, std::function<bool(std::uint64_t)> go_on)
    : settings_(std::move(settings)), go_on_(std::move(go_on)), run_id_(settings_.run_id) {}

std::string mlflow_client::without_secrets(std::string text) const {
    for (const std::string& secret : {settings_.token, settings_.password}) {
        if (secret.empty()) continue;
        for (std::size_t at = 0; (at = text.find(secret, at)) != std::string::npos;)
            text.replace(at, secret.size(), "***");
    }
    return text;
}

mlflow_answer mlflow_client::judged(const net::http_answer& answer) const {
    if (answer.cancelled) return {.what = kind::cancelled, .reason = "given up"};
    if (answer.status == 0)
        return {.what = kind::unreachable, .reason = without_secrets(one_line(answer.failure))};
    json body = json::parse(answer.body, nullptr, false);
    if (body.is_discarded()) body = nullptr;
    if (answer.status >= 200 && answer.status < 300)
        return {.status = answer.status, .body = std::move(body)};
    const bool passing =
        answer.status == http_timeout || answer.status == http_too_many_requests || answer.status >= 500;
    const bool unauthorised = answer.status == 401 || answer.status == 403;
    const std::string message = member(body, "message");
    return {.what = passing        ? kind::passing
                    : unauthorised ? kind::unauthorised
                                   : kind::refused,
            .status = answer.status,
            .reason = without_secrets("the server answers " + std::to_string(answer.status) +
                                      (message.empty() ? "" : " (" + one_line(message) + ")")),
            .code = member(body, "error_code"),
            .retry_after = answer.retry_after};
}

mlflow_answer mlflow_client::send(net::http_call call, bool authorise) {
    call.silence = settings_.timeout;
    call.connect = std::min<std::chrono::milliseconds>(15s, settings_.timeout);
    call.verify_certificate = settings_.verify_certificate;
    call.go_on = go_on_;
    if (!authorise) return judged(http_.send(call));
    if (settings_.is_azure()) refresh_token_in_time();
    const auto authorised = [&] {
        net::http_call with = call;
        if (!settings_.user.empty())
            with.headers.push_back("Authorization: Basic " +
                                   base64(settings_.user + ":" + settings_.password));
        else if (!settings_.token.empty())
            with.headers.push_back("Authorization: Bearer " + settings_.token);
        return judged(http_.send(with));
    };
    mlflow_answer answer = authorised();
    if (answer.what == kind::unauthorised && settings_.is_azure() && refresh_token()) answer = authorised();
    return answer;
}

mlflow_answer mlflow_client::call(const std::string& method, const std::string& url, const json& body) {
    return send({.method = method,
                 .url = url,
                 .headers = {"Content-Type: application/json"},
                 .body = body.is_null() ? "" : dumped(body)},
                true);
}

void mlflow_client::refresh_token_in_time() {
    const auto now = std::chrono::steady_clock::now();
    const std::int64_t expiry = expiry_of(settings_.token);
    const auto wall =
        std::chrono::duration_cast<std::chrono::seconds>(std::chrono::system_clock::now().time_since_epoch())
            .count();
    const bool due = expiry > 0
                         ? expiry - wall < renew_before && now - token_asked_ > between_renewals
                         : token_asked_.time_since_epoch().count() != 0 && now - token_asked_ > renew_unknown;
    if (expiry == 0 && token_asked_.time_since_epoch().count() == 0) token_asked_ = now; // it is new
    // Where that fails, the old one may still do.
    if (due) static_cast<void>(refresh_token());
}

bool mlflow_client::refresh_token() {
    token_asked_ = std::chrono::steady_clock::now();
    const std::string experiment = !settings_.experiment_id.empty()
                                       ? "/experimentids/" + net::escaped_for_url(settings_.experiment_id)
                                       : "/experiments/" + net::escaped_for_url(settings_.experiment_name);
    net::http_call call{.url = settings_.history + experiment + "/runs/" + net::escaped_for_url(run_id_) +
                               "/token",
                        .headers = {"Authorization: Bearer " + settings_.token}};
    const mlflow_answer answer = send(std::move(call), false);
    const std::string token = answer.ok() ? member(answer.body, "token") : "";
    if (token.empty() || token.find_first_of("\r\n") != std::string::npos) return false;
    settings_.token = token;
    return true;
}

mlflow_answer mlflow_client::get_run(const std::string& run_id) {
    mlflow_answer answer = call("GET", settings_.api + "/runs/get?run_id=" + net::escaped_for_url(run_id));
    if (!answer.ok()) return answer;
    if (!child(child(answer.body, "run"), "info").is_object())
        return refusal("the server's answer is none of an MLflow server");
    return answer;
}

mlflow_answer mlflow_client::find_experiment() {
    if (!settings_.experiment_id.empty()) return {.body = {{"experiment_id", settings_.experiment_id}}};
    if (settings_.experiment_name.empty()) return {.body = {{"experiment_id", "0"}}}; // MLflow's "Default"
    const auto by_name = [this] {
        mlflow_answer answer = call("GET", settings_.api + "/experiments/get-by-name?experiment_name=" +
                                               net::escaped_for_url(settings_.experiment_name));
        if (answer.ok())
            answer.body = {{"experiment_id", member(child(answer.body, "experiment"), "experiment_id")}};
        return answer;
    };
    mlflow_answer found = by_name();
    if (found.ok() || found.code != "RESOURCE_DOES_NOT_EXIST") return found;
    mlflow_answer created =
        call("POST", settings_.api + "/experiments/create", {{"name", settings_.experiment_name}});
    if (created.code == "RESOURCE_ALREADY_EXISTS") return by_name(); // somebody else was faster
    return created;
}

mlflow_answer mlflow_client::create_run(const std::string& experiment_id, const std::string& name,
                                        const std::vector<entry>& tags, std::int64_t time) {
    mlflow_answer answer = call("POST", settings_.api + "/runs/create",
                                {{"experiment_id", experiment_id},
                                 {"start_time", time},
                                 {"run_name", name},
                                 {"tags", entries_json(tags, longest_tag)}});
    if (answer.ok() && !child(child(answer.body, "run"), "info").is_object())
        return refusal("the server's answer is none of an MLflow server");
    return answer;
}

mlflow_answer mlflow_client::log_batch(const std::string& run_id, const mlflow_batch& batch) {
    json metrics = json::array();
    for (const metric_point& each : batch.metrics)
        metrics.push_back({{"key", each.name},
                           {"value", json_number(each.value)},
                           {"timestamp", each.time},
                           {"step", each.step}});
    return call("POST", settings_.api + "/runs/log-batch",
                {{"run_id", run_id},
                 {"metrics", std::move(metrics)},
                 {"params", entries_json(batch.parameters, longest_parameter)},
                 {"tags", entries_json(batch.tags, longest_tag)}});
}

mlflow_answer mlflow_client::update_run(const std::string& run_id, const std::string& status,
                                        std::int64_t time) {
    json body{{"run_id", run_id}, {"status", status}};
    if (status != "RUNNING") body["end_time"] = time;
    return call("POST", settings_.api + "/runs/update", body);
}

namespace {

std::uint64_t bytes_of(const artifact& result) {
    if (result.file.empty()) return result.text.size();
    std::error_code error;
    const std::uintmax_t size = std::filesystem::file_size(result.file, error);
    return error ? 0 : size;
}

net::http_call put(const std::string& url, const artifact& result, std::uint64_t first, std::uint64_t bytes) {
    net::http_call call{.method = "PUT", .url = url, .headers = {"Content-Type: application/octet-stream"}};
    if (result.file.empty())
        call.body = result.text.substr(first, bytes);
    else
        call.file = {result.file, first, bytes};
    return call;
}

// Each place between two '/' escaped by itself.
std::string escaped_path(std::string_view path) {
    std::string result;
    for (;;) {
        const std::size_t end = path.find('/');
        result += net::escaped_for_url(path.substr(0, end));
        if (end == std::string_view::npos) return result;
        result += '/';
        path.remove_prefix(end + 1);
    }
}

} // namespace

mlflow_answer mlflow_client::upload(const std::string& artifact_uri, const artifact& result) {
    const std::size_t scheme_end = artifact_uri.find(':');
    const std::string scheme = artifact_uri.substr(0, scheme_end);
    if (scheme == "azureml" && settings_.is_azure()) return upload_to_azure(artifact_uri, result);
    std::string folder;
    if (scheme == "http" || scheme == "https") {
        folder = artifact_uri;
    } else if (scheme == "mlflow-artifacts" && !settings_.is_azure()) {
        std::string_view rest = std::string_view(artifact_uri).substr(scheme_end + 1);
        std::string server = settings_.proxy;
        if (rest.starts_with("//") && rest.size() > 2 && rest[2] != '/') { // another server's proxy
            const std::size_t path = std::min(rest.find('/', 2), rest.size());
            server = settings_.proxy.substr(0, settings_.proxy.find(':')) + ":" +
                     std::string(rest.substr(0, path)) + "/api/2.0/mlflow-artifacts/artifacts";
            rest.remove_prefix(path);
        }
        while (rest.starts_with('/')) rest.remove_prefix(1);
        folder = server + "/" + escaped_path(rest);
    } else {
        return {.what = kind::unsupported,
                .reason = "the run's files belong into a store (" + scheme +
                          ") that petnet cannot write to; a server with --serve-artifacts takes them"};
    }
    while (folder.ends_with('/')) folder.pop_back();
    return send(put(folder + "/" + escaped_path(result.name), result, 0, bytes_of(result)), true);
}

// azureml://HOST/.../experiments/NAME/runs/ID/artifacts. The service is asked for a place, an address in a
// blob store that is signed for this one file, and the bytes go there without our token.
mlflow_answer mlflow_client::upload_to_azure(const std::string& artifact_uri, const artifact& result) {
    const std::size_t run = artifact_uri.rfind("/runs/");
    const std::size_t experiment =
        run == std::string::npos || run == 0 ? std::string::npos : artifact_uri.rfind('/', run - 1);
    if (experiment == std::string::npos)
        return refusal("the server names no place for artifacts that petnet knows");
    const std::size_t id = run + std::string_view("/runs/").size();
    const std::string name = artifact_uri.substr(experiment + 1, run - experiment - 1),
                      run_id = artifact_uri.substr(id, artifact_uri.find('/', id) - id);
    const json path{{"path", result.name}};
    mlflow_answer answer = call("POST",
                                settings_.history + "/experiments/" + net::escaped_for_url(name) + "/runs/" +
                                    net::escaped_for_url(run_id) + "/artifacts/batch/metadata",
                                {{"paths", json::array({path})}});
    if (!answer.ok()) return answer;
    if (const json errors = child(answer.body, "errors"); errors.is_object() && !errors.empty()) {
        const json error = child(*errors.begin(), "error");
        return refusal(without_secrets(one_line(member(error, "code") + " " + member(error, "message"))));
    }
    const std::string place =
        member(child(child(answer.body, "artifactContentInformation"), result.name), "contentUri");
    if (place.empty()) return refusal("the server's answer names no place for the file");
    return put_blob(place, result);
}

mlflow_answer mlflow_client::put_blob(const std::string& url, const artifact& result) {
    constexpr std::uint64_t whole = 64ULL * 1024 * 1024, block = 4ULL * 1024 * 1024; // as Azure's own client
    const auto send_part = [&](net::http_call call) {
        call.headers.emplace_back("x-ms-version: 2023-11-03");
        return send(std::move(call), false);
    };
    // What an interrupted run has put there stays.
    const auto there_is_fine = [](const mlflow_answer& answer) {
        return answer.status == http_conflict ? mlflow_answer{} : answer;
    };
    const std::uint64_t bytes = bytes_of(result);
    if (bytes <= whole) {
        net::http_call call = put(url, result, 0, bytes);
        call.headers.emplace_back("x-ms-blob-type: BlockBlob");
        call.headers.emplace_back("If-None-Match: *");
        return there_is_fine(send_part(std::move(call)));
    }
    std::string list = "<?xml version=\"1.0\" encoding=\"utf-8\"?><BlockList>";
    for (std::uint64_t first = 0; first < bytes; first += block) {
        std::string number = std::to_string(first / block);
        number.insert(0, 8 - number.size(), '0'); // all ids are of one length
        const std::string block_id = base64(number);
        list += "<Latest>" + block_id + "</Latest>";
        mlflow_answer answer = send_part(put(url + "&comp=block&blockid=" + net::escaped_for_url(block_id),
                                             result, first, std::min(block, bytes - first)));
        if (!answer.ok()) return answer;
    }
    return there_is_fine(send_part({.method = "PUT",
                                    .url = url + "&comp=blocklist",
                                    .headers = {"Content-Type: application/xml", "If-None-Match: *"},
                                    .body = list + "</BlockList>"}));
}

} // namespace petnet::tracking
