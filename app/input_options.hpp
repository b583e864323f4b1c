// SPDX-License-Identifier: Apache-2.0
// The options of every command that trains: on what, from which weights, on which machine.
#pragma once

#include "train/options.hpp"

#include <CLI/CLI.hpp>
#include <string>

namespace petnet::app {

// --batch-size is also PETNET_BATCH_SIZE.
CLI::Option* with_environment(CLI::Option* option);

template <typename Value>
CLI::Option* add_option(CLI::App& command, const char* group, const char* name, Value& value,
                        const char* help) {
    return with_environment(command.add_option(name, value, help)->group(group)->capture_default_str());
}

// For ->check(): what is wrong with a seed, if anything. CLI11 would wrap what is negative, and cut what is
// too large.
std::string whole_number(const std::string& text);

// The values that --help names and a shell completes (app/completion.hpp).
inline constexpr const char* label_rules = "cat-dog|breed|folder|regex=RE|csv=FILE";
inline constexpr const char* precisions = "auto|fp32|bf16|fp16";

// The groups Data, Training (--weights, --batch-size, --seed) and Machine. `options` outlives the command.
void add_input_options(CLI::App& command, train::train_options& options);

// --file-column, --label-column and --valid-column, of --labels csv=FILE. `columns` outlives the command.
void add_table_options(CLI::App& command, data::table_columns& columns);

// --device. `device` outlives the command.
void add_device_option(CLI::App& command, std::string& device);

// --config, which `parse` reads (command_line.hpp). `file` outlives the command.
void add_config_option(CLI::App& command, std::string& file);

// usage_error where --weights is a misspelt name, which would pass for a file that is not there.
void check_weights(const std::string& weights);

} // namespace petnet::app
