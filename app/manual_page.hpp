// SPDX-License-Identifier: Apache-2.0
// The manual page petnet(1), from the same definitions of commands and options as --help.
#pragma once

#include <CLI/CLI.hpp>
#include <string>

namespace petnet::app {

// In roff, by the macros of man(7), as groff and mandoc read them. Commands and options whose group has no
// name are left out, as in --help. A footer's lines that begin with blanks are shown as they stand.
[[nodiscard]] std::string manual_page(const CLI::App& program, const std::string& version);

} // namespace petnet::app
