// SPDX-License-Identifier: Apache-2.0
// The options of every command that uses a trained model.
#pragma once

#include "app/progress_bar.hpp"
#include "infer/classifier.hpp"
#include "infer/photo_answers.hpp"

#include <CLI/CLI.hpp>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>

namespace petnet::app {

struct inference_options {
    std::string model = "outputs/model.safetensors"; // or the output folder of a training
    std::string device = "auto", precision = "fp32";
    std::int64_t batch_size = 32;
    int threads = 0;
    bool tta = false;        // of commands with --tta
    std::uint64_t seed = 42; // of its draws
};

// --model; with --device, --precision, --batch-size and --threads. `options` outlives the command.
void add_model_option(CLI::App& command, inference_options& options);
void add_inference_options(CLI::App& command, inference_options& options);

// --tta and --seed.
void add_tta_options(CLI::App& command, inference_options& options);

// How photographs are answered for: `bar`, which outlives the result, shows the progress of `what`; a stop
// signal ends it.
[[nodiscard]] infer::answering answering(const inference_options& options, const char* what,
                                         progress_bar& bar);

// The file that --model means; input_error where there is none.
[[nodiscard]] std::filesystem::path model_file(const inference_options& options);

// The model ready to classify; `at_once` photographs at most, where that is less than --batch-size. Warnings
// go to standard error. Errors as of infer::classifier.
[[nodiscard]] std::unique_ptr<infer::classifier> load_classifier(const inference_options& options,
                                                                 std::size_t at_once, bool transforms);

} // namespace petnet::app
