// SPDX-License-Identifier: Apache-2.0
// Parsing with CLI11, and what users expect around it: settings from a file, suggestions for misspelt names.
#pragma once

#include <CLI/CLI.hpp>
#include <string>
#include <string_view>
#include <vector>

namespace petnet::app {

// Parses and runs the chosen subcommand's callback. Values come from the command line, else from the file
// that
// --config names (`batch-size = 32`, perhaps under `[train]`), else from the environment, else they are the
// defaults. usage_error in one line for everything that is wrong, an unknown option with the nearest known
// one, a value with the variable or the line that it comes from; CLI::Success for --help and --version.
void parse(CLI::App& program, int argc, const char* const* argv);

// Prints what --help or --version asked for.
int print_answer(const CLI::Success& asked);

// The nearest of `known` by edits (insertions, deletions, exchanges, swaps of neighbours), or nothing where
// even the nearest is no likely misspelling.
[[nodiscard]] std::string nearest(std::string_view word, const std::vector<std::string>& known);

} // namespace petnet::app
