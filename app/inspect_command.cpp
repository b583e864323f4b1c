// SPDX-License-Identifier: Apache-2.0
#include "app/commands.hpp"
#include "app/console.hpp"
#include "app/input_options.hpp"
#include "app/inspect_folder.hpp"
#include "base/errors.hpp"
#include "model/weights/tensor_layout.hpp"
#include "model/weights/value_check.hpp"
#include "model/weights/weight_file.hpp"
#include "model/weights/weight_names.hpp"
#include "model/weights/weight_sets.hpp"

#include <algorithm>
#include <filesystem>
#include <fmt/core.h>
#include <memory>
#include <string>

namespace petnet::app {
namespace {

namespace fs = std::filesystem;

void inspect_weights(const std::string& path) {
    const auto [file, key] = model::place_of_weights(path);
    const model::weight_file weights = model::read_weight_file(file, key);
    std::size_t values = 0;
    std::vector<std::string> names;
    model::value_check check;
    for (const model::weight_tensor& tensor : weights.tensors) {
        const model::unusable_values unusable = check.add(tensor.name, tensor.to_float32());
        fmt::print("{:<44} {:<9} {}{}\n", tensor.name, model::to_string(tensor.dtype),
                   model::extents_text(tensor.shape),
                   unusable.any() ? "  has " + model::to_string(unusable) : "");
        values += tensor.element_count();
        names.push_back(tensor.name);
    }
    for (const auto& [name, value] : weights.metadata) fmt::print("metadata {}: {}\n", name, value);
    fmt::print("{} tensors, {:.1f} million values\n", weights.tensors.size(),
               static_cast<double>(values) / 1e6);

    if (const auto finding = check.finding()) fmt::print("Unusable: {}\n", *finding);

    const model::weight_name_mapping mapping = model::map_weight_names(names, file.string());
    for (const std::vector<std::string>* places : {&weights.sets, &mapping.prefixes})
        if (places->size() > 1) tell("Warning: {}\n", model::several_sets(file.string(), *places));
    const auto count = [&](const std::vector<std::string>& wanted) {
        return std::ranges::count_if(mapping.used, [&](const auto& used) {
            return std::ranges::find(wanted, used.name) != wanted.end();
        });
    };
    const auto body = count(model::body_weight_names()), head = count(model::head_weight_names());
    fmt::print("ResNet-34: {} of {} tensors of the body, {} of {} of petnet's head, {} with no place in it\n",
               body, model::body_weight_names().size(), head, model::head_weight_names().size(),
               mapping.unknown.size());
}

struct inspect_arguments {
    std::string path, sheet;
    data::labelling labels;
};

} // namespace

void add_inspect(CLI::App& program, exit_status&) {
    CLI::App* command = program.add_subcommand(
        "inspect", "what a weight file, model or photo folder holds, or why it is refused");
    const auto arguments = std::make_shared<inspect_arguments>();
    command
        ->add_option("path", arguments->path, "file or folder; KEY: of one of several sets of weights in it")
        ->required()
        ->option_text("FILE[:KEY]|DIR");
    command
        ->add_option(
            "--labels", arguments->labels.rule,
            "how the photographs of a folder are labelled, as for train; absent: as seems to be meant")
        ->option_text(label_rules);
    add_table_options(*command, arguments->labels.columns);
    command
        ->add_option("--sheet", arguments->sheet,
                     "writes a picture of some photographs of each class of the folder")
        ->option_text("FILE.jpg");
    command->callback([arguments] {
        std::error_code error;
        if (fs::is_directory(arguments->path, error))
            return inspect_folder(arguments->path, arguments->labels, arguments->sheet);
        if (!arguments->sheet.empty())
            throw usage_error("--sheet shows photographs, but " + arguments->path + " is no folder");
        inspect_weights(arguments->path);
    });
}

} // namespace petnet::app
