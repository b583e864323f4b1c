// SPDX-License-Identifier: Apache-2.0
#include "app/input_options.hpp"

#include "app/byte_size.hpp"
#include "app/command_line.hpp"
#include "base/errors.hpp"

#include <algorithm>
#include <cctype>
#include <charconv>
#include <filesystem>
#include <limits>
#include <vector>

namespace petnet::app {

CLI::Option* with_environment(CLI::Option* option) {
    std::string name = "PETNET_";
    for (const char c : option->get_lnames().front())
        name += c == '-' ? '_' : static_cast<char>(std::toupper(static_cast<unsigned char>(c)));
    return option->envname(name)->type_size(1);
}

std::string whole_number(const std::string& text) {
    std::uint64_t number = 0;
    const char* const end = text.data() + text.size();
    const auto [stopped, error] = std::from_chars(text.data(), end, number);
    if (stopped == end && error == std::errc()) return {};
    return "must be a whole number from 0 to " + std::to_string(std::numeric_limits<std::uint64_t>::max());
}

void add_input_options(CLI::App& command, train::train_options& o) {
    const auto add = [&](const char* group, const char* name, auto& value, const char* help) {
        return add_option(command, group, name, value, help);
    };
    // Without a default to show.
    const auto add_absent = [&](const char* name, std::optional<double>& value, const char* help) {
        return with_environment(command.add_option(name, value, help))->group("Data");
    };
    add("Data", "--data", o.data,
        "folder of photographs; pets: the Oxford-IIIT Pet data set, fetched where no folder has that name; "
        "absent: the embedded sample (296 pets)")
        ->option_text("DIR|pets");
    add("Data", "--labels", o.labels,
        "what a photograph shows: cat-dog (capitalised names are cats), breed (NAME_12.jpg), folder, "
        "regex=RE (its first group), csv=FILE (a table); absent: folder where they lie in folders of "
        "classes, else cat-dog")
        ->type_name(label_rules);
    add_table_options(command, o.columns);
    add("Data", "--split", o.split,
        "which photographs validate: folders (train/ and valid/, val/ or validation/), random; auto: by "
        "folders where they are there")
        ->type_name("auto|random|folders");
    add_absent("--valid-pct", o.valid_pct,
               "part of the photographs that a random split validates on; absent: 0.2");
    add("Data", "--valid-list", o.valid_list, "file that names the photographs to validate on, one a line")
        ->option_text("FILE")
        ->excludes("--valid-pct")
        ->excludes("--valid-column");
    add("Data", "--size", o.size, "side of the square that the network sees, in pixels");
    add("Data", "--recipe", o.recipe,
        "basic: random square crops of --size; augmented: crops of twice that (460 for 224), flipped, "
        "warped, turned, zoomed and lit at random")
        ->type_name("basic|augmented");
    add_absent("--max-bad-images", o.max_bad_images,
               "part of the photographs that may be broken before the run stops; absent: 0.01, and no class "
               "may be lost");

    command.add_flag("--exif", o.exif, "turn photographs as their EXIF orientation says; else it is ignored")
        ->group("Data")
        ->envname("PETNET_EXIF");

    add("Training", "--weights", o.weights,
        "start: imagenet (fetched where it is not there), embedded, random, or a file (safetensors or torch "
        ".pth), with the KEY of one of several sets of weights in it; absent: embedded with the sample, else "
        "imagenet")
        ->option_text("imagenet|embedded|random|FILE[:KEY]");
    add("Training", "--batch-size", o.batch_size, "photographs per step, of all processes together");
    add("Training", "--seed", o.seed,
        "of the split, the order, the crops, the head and dropout; same seed, same bits")
        ->check(whole_number);

    add_device_option(command, o.device);
    add("Machine", "--precision", o.precision, "auto: the fastest that this machine has")
        ->type_name(precisions);
    command
        .add_flag("--tf32", o.tf32,
                  "fp32 on a GPU: convolutions on tensor cores, their inputs rounded to 11 bits of mantissa")
        ->group("Machine")
        ->envname("PETNET_TF32");
    add("Machine", "--threads", o.threads, "processor threads; 0: all that are there");
    with_environment(command.add_option("--cache-memory", o.cache_memory,
                                        "memory for decoded photographs, as 8GB; what does not fit goes to "
                                        "a file in ~/.cache/petnet, which later runs use again; absent: half "
                                        "of the memory there is"))
        ->option_text("BYTES")
        ->group("Machine")
        ->transform([](const std::string& text) {
            const auto bytes = byte_size(text);
            if (!bytes)
                throw CLI::ValidationError(text + " is no size: 8GB, 500MB, 512MiB or 0 were expected");
            return std::to_string(*bytes);
        });
}

void add_table_options(CLI::App& command, data::table_columns& columns) {
    add_option(
        command, "Data", "--file-column", columns.file,
        "of csv=FILE: the column that names the photograph, by its name or its number from 0; absent: 0")
        ->option_text("COLUMN");
    add_option(command, "Data", "--label-column", columns.label, "the column of the label; absent: 1")
        ->option_text("COLUMN");
    add_option(command, "Data", "--valid-column", columns.valid,
               "the column that says which photographs validate: true or false, 1 or 0, train or valid")
        ->option_text("COLUMN");
}

void add_device_option(CLI::App& command, std::string& device) {
    add_option(command, "Machine", "--device", device,
               "auto: a GPU where there is one; check:A,B: runs both and compares")
        ->type_name("auto|cpu|cuda|reference|check:A,B");
}

void add_config_option(CLI::App& command, std::string& file) {
    with_environment(command.add_option("--config", file, "settings file (TOML or INI): batch-size = 32"))
        ->option_text("FILE")
        ->group("Files");
}

void check_weights(const std::string& weights) {
    const std::vector<std::string> names{"imagenet", "embedded", "random"};
    std::error_code error;
    if (weights.empty() || std::ranges::find(names, weights) != names.end() ||
        std::filesystem::exists(weights, error))
        return;
    if (const std::string near = nearest(weights, names); !near.empty())
        throw usage_error("--weights " + weights + ": no such file, did you mean " + near + "?");
}

} // namespace petnet::app
