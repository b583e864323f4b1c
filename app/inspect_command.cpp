// SPDX-License-Identifier: Apache-2.0
#include "app/commands.hpp"
#include "app/input_options.hpp"
#include "app/inspect_folder.hpp"
#include "app/inspect_weights.hpp"
#include "base/errors.hpp"

#include <filesystem>
#include <memory>
#include <string>

namespace petnet::app {
namespace {

namespace fs = std::filesystem;

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
