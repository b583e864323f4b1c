// SPDX-License-Identifier: Apache-2.0
#include "train/tracking/mlflow_settings.hpp"

#include "base/errors.hpp"
#include "net/url.hpp"

#include <algorithm>
#include <charconv>
#include <cstdlib>

namespace petnet::tracking {
namespace {

constexpr std::string_view api_path = "/api/2.0/mlflow";
constexpr std::string_view proxy_path = "/api/2.0/mlflow-artifacts/artifacts";

void remove_trailing_slashes(std::string& text) {
    while (text.ends_with('/')) text.pop_back();
}

// azureml://HOST/mlflow/v1.0/subscriptions/S/resourceGroups/G/providers/.../workspaces/W?... in parts. The
// version in it is the first client's: the service's own package asks for v2.0 whatever it says, and so do
// we.
void set_azure_address(std::string_view uri, mlflow_settings& settings) {
    const std::string_view rest = uri.substr(std::string_view("azureml://").size());
    const std::size_t scope = rest.find("/subscriptions/"), host_end = rest.find('/');
    std::string workspace(scope == std::string_view::npos ? "" : rest.substr(scope));
    workspace.resize(std::min(workspace.find('?'), workspace.size()));
    remove_trailing_slashes(workspace);
    if (host_end == 0 || workspace.find("/workspaces/") == std::string::npos)
        throw usage_error("MLFLOW_TRACKING_URI names no Azure ML workspace: azureml://HOST/mlflow/v2.0/"
                          "subscriptions/.../workspaces/NAME was expected");
    const std::string host = "https://" + std::string(rest.substr(0, host_end));
    settings.api = host + "/mlflow/v2.0" + workspace + std::string(api_path);
    settings.history = host + "/history/v1.0" + workspace;
    settings.shown = "Azure ML workspace " + workspace.substr(workspace.rfind('/') + 1);
}

void set_plain_address(std::string uri, mlflow_settings& settings) {
    remove_trailing_slashes(uri);
    settings.api = uri + std::string(api_path);
    settings.proxy = uri + std::string(proxy_path);
    settings.shown = "MLflow at " + net::shown_url(uri);
}

} // namespace

std::string from_environment(const char* name) {
    const char* value = std::getenv(name);
    return value == nullptr ? "" : value;
}

std::optional<mlflow_settings> read_mlflow_settings(const environment& variables) {
    const std::string uri = variables("MLFLOW_TRACKING_URI");
    if (uri.empty()) return {};
    mlflow_settings settings;
    const std::size_t scheme_end = uri.find("://");
    const std::string scheme = uri.substr(0, scheme_end);
    if (scheme_end != std::string::npos && scheme == "azureml")
        set_azure_address(uri, settings);
    else if (scheme_end != std::string::npos && (scheme == "http" || scheme == "https"))
        set_plain_address(uri, settings);
    else
        throw usage_error(
            "MLFLOW_TRACKING_URI is no address of an MLflow server: one that begins with http://, "
            "https:// or azureml:// was expected");
    settings.token = variables("MLFLOW_TRACKING_TOKEN");
    settings.user = variables("MLFLOW_TRACKING_USERNAME");
    settings.password = variables("MLFLOW_TRACKING_PASSWORD");
    settings.run_id = variables("MLFLOW_RUN_ID");
    settings.experiment_id = variables("MLFLOW_EXPERIMENT_ID");
    settings.experiment_name = variables("MLFLOW_EXPERIMENT_NAME");
    settings.run_name = variables("MLFLOW_RUN_NAME");
    settings.azure_job_run = variables("AZUREML_RUN_ID");
    const std::string insecure = variables("MLFLOW_TRACKING_INSECURE_TLS");
    settings.verify_certificate = insecure != "true" && insecure != "1";
    const std::string seconds = variables("MLFLOW_HTTP_REQUEST_TIMEOUT");
    int timeout = 0;
    constexpr int longest = 3600;
    if (std::from_chars(seconds.data(), seconds.data() + seconds.size(), timeout).ec == std::errc() &&
        timeout > 0 && timeout <= longest)
        settings.timeout = std::chrono::seconds(timeout);
    return settings;
}

} // namespace petnet::tracking
