// SPDX-License-Identifier: Apache-2.0
#include "app/commands.hpp"
#include "app/console.hpp"
#include "app/inference_options.hpp"
#include "app/input_options.hpp"
#include "base/errors.hpp"
#include "export/mlflow_folder.hpp"
#include "export/onnx_file.hpp"
#include "export/weight_export.hpp"

#include <algorithm>
#include <memory>
#include <string>
#include <vector>

namespace petnet::app {
namespace {

namespace fs = std::filesystem;

struct export_arguments {
    inference_options options; // the model alone
    std::string naming = "torchvision";
    fs::path onnx, mlflow, torch, safetensors;
    bool preprocess = false, half = false;
};

void check(const export_arguments& a) {
    if (a.onnx.empty() && a.mlflow.empty() && a.torch.empty() && a.safetensors.empty())
        throw usage_error("say what to write: --onnx, --mlflow, --torch or --safetensors");
    if (a.naming != "torchvision" && a.naming != "fastai")
        throw usage_error("--naming must be torchvision or fastai");
    if (a.preprocess && a.onnx.empty() && a.mlflow.empty())
        throw usage_error("--preprocess is for --onnx and --mlflow");
    if (a.half && a.safetensors.empty()) throw usage_error("--half is for --safetensors");
    if (a.naming == "fastai" && a.torch.empty()) throw usage_error("--naming is for --torch");
}

// Each has a place of its own, and none is the model's.
void check_places(const fs::path& model, const export_arguments& a) {
    std::error_code error;
    std::vector<fs::path> taken{fs::weakly_canonical(model, error)};
    for (const fs::path& place : {a.onnx, a.mlflow, a.torch, a.safetensors}) {
        if (place.empty()) continue;
        const fs::path real = fs::weakly_canonical(place, error);
        if (real == taken.front()) throw usage_error(place.string() + " is the model itself");
        if (std::ranges::find(taken, real) != taken.end())
            throw usage_error(place.string() + " is named for two formats");
        taken.push_back(real);
    }
}

void run_export(const export_arguments& a) {
    check(a);
    const fs::path file = model_file(a.options);
    check_places(file, a);
    const exporting::exported_model model = exporting::read_model(file);
    const auto input = a.preprocess ? exporting::onnx_input::pixels : exporting::onnx_input::tensor;
    const auto done = [](const fs::path& place) { tell_result("{}\n", place.string()); };
    if (!a.onnx.empty()) exporting::write_onnx(model, input, a.onnx), done(a.onnx);
    if (!a.mlflow.empty()) exporting::write_mlflow(model, input, a.mlflow), done(a.mlflow);
    if (!a.torch.empty()) {
        exporting::write_torch(model,
                               a.naming == "fastai" ? exporting::weight_naming::fastai
                                                    : exporting::weight_naming::torchvision,
                               a.torch);
        done(a.torch);
    }
    if (!a.safetensors.empty())
        exporting::write_safetensors(model, a.half, a.safetensors), done(a.safetensors);
}

} // namespace

void add_export(CLI::App& program, exit_status&) {
    CLI::App* command = program.add_subcommand("export", "hand a trained model on to other programs");
    const auto arguments = std::make_shared<export_arguments>();
    add_model_option(*command, arguments->options);
    const auto add = [&](const char* name, auto& value, const char* text, const char* help) {
        command->add_option(name, value, help)->option_text(text)->group("Formats");
    };
    add("--onnx", arguments->onnx, "FILE", "ONNX, opset 17, any number of photographs at once");
    add("--mlflow", arguments->mlflow, "DIR", "an MLflow model folder with the ONNX flavour");
    add("--torch", arguments->torch, "FILE", "a state dict for torch.load(FILE, weights_only=True)");
    add("--safetensors", arguments->safetensors, "FILE", "a copy of the model that petnet reads, too");
    command
        ->add_flag("--preprocess", arguments->preprocess,
                   "--onnx, --mlflow: the graph takes the bytes of the square cut of a photograph and "
                   "normalises them; else it takes what is normalised already")
        ->group("Formats");
    add("--naming", arguments->naming, "torchvision|fastai=torchvision",
        "--torch: torchvision (the head as head.bn1, fc1, bn2, fc2) or fastai (for learn.load)");
    command->add_flag("--half", arguments->half, "--safetensors: float16")->group("Formats");
    command->footer("Prints what was written. Several formats can be asked for at once.\n"
                    "Examples:\n"
                    "  petnet export --onnx pets.onnx --preprocess\n"
                    "  petnet export --model outputs --torch models/pets.pth --naming fastai    then "
                    "learn.load('pets')");
    command->callback([arguments] { run_export(*arguments); });
}

} // namespace petnet::app
