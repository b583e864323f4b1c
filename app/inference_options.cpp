// SPDX-License-Identifier: Apache-2.0
#include "app/inference_options.hpp"

#include "app/console.hpp"
#include "app/input_options.hpp"
#include "base/errors.hpp"

#include <algorithm>

namespace petnet::app {

namespace fs = std::filesystem;

void add_model_option(CLI::App& command, inference_options& o) {
    add_option(command, "Model", "--model", o.model,
               "model.safetensors of a training, or the folder that it is in")
        ->option_text("FILE=outputs/model.safetensors");
}

void add_inference_options(CLI::App& command, inference_options& o) {
    add_model_option(command, o);
    const auto add = [&](const char* name, auto& value, const char* help) {
        return add_option(command, "Machine", name, value, help);
    };
    add("--device", o.device, "auto, cpu, cuda, reference, or check:A,B (runs both and compares)");
    add("--precision", o.precision,
        "fp32: what PyTorch and ONNX Runtime answer; auto (the fastest this machine has), bf16 or fp16");
    add("--batch-size", o.batch_size, "photographs that go through the network at once");
    add("--threads", o.threads, "processor threads; 0: all that are there");
}

fs::path model_file(const inference_options& options) {
    fs::path file = options.model;
    std::error_code error;
    if (fs::is_directory(file, error)) file /= "model.safetensors";
    if (!fs::exists(file, error))
        throw input_error("no such file: " + file.string() +
                          " (the model.safetensors of a training was expected: --model FILE)");
    return file;
}

std::unique_ptr<infer::classifier> load_classifier(const inference_options& options, std::size_t at_once,
                                                   bool transforms) {
    if (options.threads < 0 || options.threads > 1024)
        throw usage_error("--threads must be between 0 and 1024");
    infer::classifier_options how{.device = options.device,
                                  .precision = options.precision,
                                  .threads = options.threads,
                                  .batch_size = options.batch_size,
                                  .transforms = transforms,
                                  .on_warning = [](const std::string& line) { tell("Warning: {}\n", line); }};
    if (how.batch_size > 0)
        how.batch_size =
            std::min(how.batch_size, static_cast<std::int64_t>(std::max<std::size_t>(at_once, 1)));
    return std::make_unique<infer::classifier>(model_file(options), how);
}

} // namespace petnet::app
