// SPDX-License-Identifier: Apache-2.0
#include "app/inspect_folder.hpp"

#include "app/contact_sheet.hpp"
#include "base/errors.hpp"
#include "base/files.hpp"
#include "data/dataset_folder.hpp"
#include "data/encode_jpeg.hpp"
#include "data/labels.hpp"
#include "data/survey.hpp"

#include <algorithm>
#include <fmt/core.h>
#include <vector>

namespace petnet::app {
namespace {

namespace fs = std::filesystem;

// The rule that a folder's owner most likely means: train's, or breed where names fit it and not that.
std::string likely_labels(const data::dataset_folder& set) {
    std::string rule = data::default_rule(set);
    for (const char* each : {rule.c_str(), "breed"}) {
        try {
            static_cast<void>(data::label_photos(set.photographs, data::label_rule::parse(each)));
            return each;
        } catch (const input_error&) { // the next one may fit
        }
    }
    return rule;
}

void print_sizes(const char* what, std::vector<std::size_t> sizes) {
    std::erase(sizes, 0U); // of broken photographs
    if (sizes.empty()) return;
    std::ranges::sort(sizes);
    fmt::print("{:<7} {} to {} pixels, median {}\n", what, sizes.front(), sizes.back(),
               sizes[sizes.size() / 2]);
}

} // namespace

void inspect_folder(const fs::path& path, data::labelling labels, const fs::path& sheet) {
    data::dataset_folder set = data::open_dataset_folder(path);
    const data::image_folder& folder = set.photographs;
    std::uint64_t bytes = 0;
    for (const data::photo_entry& photo : folder.photos) bytes += photo.bytes;
    fmt::print("{}: {} photographs, {:.1f} MB\n", folder.root.string(), folder.photos.size(),
               static_cast<double>(bytes) / 1e6);
    if (labels.rule.empty()) {
        labels.rule = likely_labels(set);
        if (labels.rule == "breed")
            fmt::print("labelled as it seems to be meant; train needs --labels breed for it\n");
    }
    for (const std::string& line : set.warnings()) fmt::print("{}\n", line);
    if (set.split) fmt::print("split by the folders {}/ and {}/\n", set.split->train, set.split->valid);
    if (folder.hidden > 0) fmt::print("{} hidden files and folders are left alone\n", folder.hidden);
    const data::labelled_photos labelled = data::label_dataset(set, path, labels);
    const data::photo_labels& found = labelled.labels;
    for (const std::string& line : labelled.warnings) fmt::print("{}\n", line);
    const data::photo_survey survey = data::survey_photos(folder);
    print_sizes("width", survey.widths);
    print_sizes("height", survey.heights);

    std::vector<std::size_t> counts(found.class_names.size());
    for (const std::int32_t label : found.of_photo) ++counts[static_cast<std::size_t>(label)];
    fmt::print("{} classes by --labels {}:\n", counts.size(), labels.rule);
    for (std::size_t i = 0; i < counts.size(); ++i)
        fmt::print("  {:<32} {}\n", found.class_names[i], counts[i]);

    if (!survey.broken.empty()) fmt::print("{} photographs are broken:\n", survey.broken.size());
    for (const data::broken_photo& broken : survey.broken) fmt::print("broken: {}\n", broken.reason);
    for (const std::string& name : folder.skipped) fmt::print("skipped: {} is no image\n", name);
    if (sheet.empty()) return;
    const std::vector<std::byte> picture = data::encode_jpeg(
        contact_sheet(folder, found, fs::canonical(path).filename().string() + ", --labels " + labels.rule));
    write_file_atomically(sheet, [&](const byte_sink& sink) { sink(picture); });
    fmt::print("The contact sheet is in {}\n", sheet.string());
}

} // namespace petnet::app
