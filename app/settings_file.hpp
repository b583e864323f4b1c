// SPDX-License-Identifier: Apache-2.0
// The --config file: of TOML (and INI) what settings need, `name = value` line by line.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

namespace petnet::app {

struct setting {
    std::string section, name, value;
    std::size_t line = 0; // from 1
};

// Reads lines `name = value`, perhaps below `[section]`; `section.name = value` says the same. A value is a
// bare word or number, a 'literal' or a "basic" string with TOML's escapes. Comments begin with # (or ; at
// the start of a line). A byte order mark is skipped. input_error, naming file and line, where it is anything
// else: arrays, tables and strings of several lines mean nothing to petnet.
[[nodiscard]] std::vector<setting> read_settings(const std::filesystem::path& file);

} // namespace petnet::app
