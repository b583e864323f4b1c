// SPDX-License-Identifier: Apache-2.0
#include "app/commands.hpp"
#include "base/errors.hpp"
#include "data/image_folder.hpp"
#include "data/labels.hpp"
#include "model/weights/tensor_layout.hpp"
#include "model/weights/weight_file.hpp"
#include "model/weights/weight_names.hpp"

#include <algorithm>
#include <filesystem>
#include <fmt/core.h>
#include <map>
#include <memory>
#include <set>
#include <string>

namespace petnet::app {
namespace {

namespace fs = std::filesystem;

void inspect_weights(const fs::path& file) {
    const model::weight_file weights = model::read_weight_file(file);
    std::size_t values = 0;
    std::vector<std::string> names;
    for (const model::weight_tensor& tensor : weights.tensors) {
        fmt::print("{:<44} {:<9} {}\n", tensor.name, model::to_string(tensor.dtype),
                   model::extents_text(tensor.shape));
        values += tensor.element_count();
        names.push_back(tensor.name);
    }
    for (const auto& [key, value] : weights.metadata) fmt::print("metadata {}: {}\n", key, value);
    fmt::print("{} tensors, {:.1f} million values\n", weights.tensors.size(),
               static_cast<double>(values) / 1e6);

    const model::weight_name_mapping mapping = model::map_weight_names(names, file.string());
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

// The rule that a folder's owner most likely means: subfolders are there for a reason, cats and dogs are the
// default of train.
std::string likely_labels(const data::image_folder& folder) {
    std::set<std::string> subfolders;
    for (const data::photo_entry& photo : folder.photos)
        subfolders.insert(fs::path(photo.name).parent_path().filename());
    if (subfolders.size() > 1) return "folder";
    for (const char* rule : {"cat-dog", "breed"}) {
        try {
            static_cast<void>(data::label_photos(folder, data::label_rule::parse(rule)));
            return rule;
        } catch (const input_error&) { // the next one may fit
        }
    }
    return "cat-dog";
}

void inspect_folder(const fs::path& path, std::string labels) {
    const data::image_folder folder = data::open_image_folder(path);
    fmt::print("{}: {} photographs\n", folder.root.string(), folder.photos.size());
    if (labels.empty()) {
        labels = likely_labels(folder);
        if (labels != "cat-dog")
            fmt::print("labelled as it seems to be meant; train needs --labels {} for it\n", labels);
    }
    const data::photo_labels found = data::label_photos(folder, data::label_rule::parse(labels));
    std::vector<std::size_t> counts(found.class_names.size());
    for (const std::int32_t label : found.of_photo) ++counts[static_cast<std::size_t>(label)];
    fmt::print("{} classes by --labels {}:\n", counts.size(), labels);
    for (std::size_t i = 0; i < counts.size(); ++i)
        fmt::print("  {:<32} {}\n", found.class_names[i], counts[i]);
    for (const data::broken_photo& broken : folder.broken) fmt::print("broken: {}\n", broken.reason);
    for (const std::string& name : folder.skipped) fmt::print("skipped: {} is no image\n", name);
}

struct inspect_arguments {
    std::string path, labels;
};

} // namespace

void add_inspect(CLI::App& program, exit_status&) {
    CLI::App* command = program.add_subcommand(
        "inspect", "what a weight file, model or photo folder holds, or why it is refused");
    const auto arguments = std::make_shared<inspect_arguments>();
    command->add_option("path", arguments->path, "file or folder")->required()->option_text("FILE|DIR");
    command->add_option(
        "--labels", arguments->labels,
        "how the photographs of a folder are labelled, as for train; absent: as seems to be meant");
    command->callback([arguments] {
        std::error_code error;
        if (fs::is_directory(arguments->path, error))
            inspect_folder(arguments->path, arguments->labels);
        else
            inspect_weights(arguments->path);
    });
}

} // namespace petnet::app
