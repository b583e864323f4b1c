// SPDX-License-Identifier: Apache-2.0
#include "app/inference_options.hpp"

#include "app/console.hpp"
#include "app/input_options.hpp"
#include "app/stop_signal.hpp"
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
    add_device_option(command, o.device);
    add("--precision", o.precision,
        "fp32: what PyTorch and ONNX Runtime answer; auto: the fastest that this machine has")
        ->type_name(precisions);
    add("--batch-size", o.batch_size, "photographs that go through the network at once");
    add("--threads", o.threads, "processor threads; 0: all that are there");
}

void add_tta_options(CLI::App& command, inference_options& o) {
    command
        .add_flag("--tta", o.tta,
                  "augmentation at test time, as fastai's learn.tta: a quarter of the answer for the "
                  "photograph as it is, three quarters the mean of four augmented ones; logits are then the "
                  "logarithms of the probabilities")
        ->group("Answers");
    add_option(command, "Answers", "--seed", o.seed, "of --tta's draws")->check(whole_number);
}

infer::answering answering(const inference_options& options, const char* what, progress_bar& bar) {
    return {.tta = options.tta,
            .seed = options.seed,
            .threads = static_cast<unsigned>(options.threads),
            .on_progress =
                [what, &bar](std::size_t done, std::size_t total) {
                    bar.show({.what = what, .done = done, .total = total, .in_bytes = false});
                },
            .stop_requested = [] { return stop_signal() != 0; }};
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
