// SPDX-License-Identifier: Apache-2.0
#include "export/mlflow_folder.hpp"

#include "base/errors.hpp"
#include "base/files.hpp"
#include "base/utc_time.hpp"

#include <fmt/format.h>
#include <nlohmann/json.hpp>
#include <string>
#include <unistd.h>

namespace petnet::exporting {
namespace {

namespace fs = std::filesystem;
using json = nlohmann::ordered_json;

// What serves the model: versions that tests/export/real_packages.py loaded it with.
constexpr const char* python = "3.11";
constexpr const char* requirements[] = {"mlflow==3.17.2", "onnx==1.23.2", "onnxruntime==1.32.0", "numpy<3"};

// YAML takes JSON's strings.
std::string quoted(const json& value) { return json(value.dump()).dump(); }

std::string ml_model(const exported_model& model, onnx_input input, const std::string& identity) {
    const model::model_description& d = model.description;
    const bool pixels = input == onnx_input::pixels;
    const json taken = pixels ? json{-1, d.photo_size, d.photo_size, 3} : json{-1, 3, d.size, d.size};
    const auto tensor = [](const char* name, const char* type, const json& shape) {
        return json::array(
            {{{"name", name}, {"type", "tensor"}, {"tensor-spec", {{"dtype", type}, {"shape", shape}}}}});
    };
    return fmt::format("artifact_path: model\n"
                       "flavors:\n"
                       "  onnx:\n"
                       "    code: null\n"
                       "    data: model.onnx\n"
                       "    onnx_session_options: null\n"
                       "    onnx_version: {}\n"
                       "    providers:\n"
                       "    - CUDAExecutionProvider\n"
                       "    - CPUExecutionProvider\n"
                       "  python_function:\n"
                       "    data: model.onnx\n"
                       "    env:\n"
                       "      conda: conda.yaml\n"
                       "      virtualenv: python_env.yaml\n"
                       "    loader_module: mlflow.onnx\n"
                       "    python_version: \"{}\"\n"
                       "metadata: {{\"classes\": {}}}\n"
                       "mlflow_version: {}\n"
                       "model_uuid: {}\n"
                       "signature:\n"
                       "  inputs: {}\n"
                       "  outputs: {}\n"
                       "  params: null\n"
                       "utc_time_created: '{}'\n",
                       std::string(requirements[1]).substr(6), python, json(d.classes).dump(),
                       std::string(requirements[0]).substr(8), identity,
                       quoted(pixels ? tensor("pixels", "uint8", taken) : tensor("input", "float32", taken)),
                       quoted(tensor("logits", "float32", {-1, d.classes.size()})),
                       utc_now("%Y-%m-%d %H:%M:%S.000000"));
}

std::string list(const char* before) {
    std::string text;
    for (const char* each : requirements) text += std::string(before) + each + "\n";
    return text;
}

} // namespace

void write_mlflow(const exported_model& model, onnx_input input, const fs::path& place) {
    const fs::path folder = place.has_filename() ? place : place.parent_path(); // without a slash at the end
    std::error_code error;
    if (fs::exists(folder, error))
        throw input_error(folder.string() + " is there already: name a folder that is not");
    const fs::path making = folder.string() + ".making-" + std::to_string(::getpid());
    if (!fs::create_directories(making, error) && error)
        throw environment_error("cannot make " + making.string() + ": " + error.message());
    try {
        write_onnx(model, input, making / "model.onnx");
        // Equal models have equal identities.
        const std::string identity = sha256(mapped_file(making / "model.onnx").bytes()).substr(0, 32);
        write_file_atomically(making / "MLmodel", ml_model(model, input, identity));
        write_file_atomically(making / "requirements.txt", list(""));
        write_file_atomically(making / "python_env.yaml",
                              fmt::format("python: \"{}\"\nbuild_dependencies:\n- pip\ndependencies:\n"
                                          "- -r requirements.txt\n",
                                          python));
        write_file_atomically(making / "conda.yaml",
                              fmt::format("name: mlflow-env\nchannels:\n- conda-forge\ndependencies:\n"
                                          "- python={}\n- pip\n- pip:\n{}",
                                          python, list("  - ")));
        fs::rename(making, folder, error);
        if (error) throw environment_error("cannot make " + folder.string() + ": " + error.message());
    } catch (const std::exception&) {
        fs::remove_all(making, error);
        throw;
    }
}

} // namespace petnet::exporting
