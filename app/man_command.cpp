// SPDX-License-Identifier: Apache-2.0
#include "app/commands.hpp"
#include "app/console.hpp"
#include "app/manual_page.hpp"
#include "base/version.hpp"

namespace petnet::app {

void add_man(CLI::App& program) {
    CLI::App* command = program.add_subcommand("man", "print the manual page");
    command->footer("For a page that is not installed:\n"
                    "  petnet man | man -l -");
    command->callback([&program] { tell_result("{}", manual_page(program, "petnet " + version())); });
}

} // namespace petnet::app
