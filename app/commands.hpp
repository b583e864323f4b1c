// SPDX-License-Identifier: Apache-2.0
// The subcommands: each function adds one to the program's command line; what it does runs from its callback,
// which leaves the exit code in `status`.
#pragma once

#include <CLI/CLI.hpp>

namespace petnet::app {

struct exit_status {
    int code = 0;
};

void add_train(CLI::App& program, exit_status& status);
void add_predict(CLI::App& program, exit_status& status);
void add_evaluate(CLI::App& program, exit_status& status);
void add_export(CLI::App& program, exit_status& status);
void add_serve(CLI::App& program, exit_status& status);
void add_lr_find(CLI::App& program, exit_status& status);
void add_data(CLI::App& program, exit_status& status);
void add_inspect(CLI::App& program, exit_status& status);
void add_doctor(CLI::App& program, exit_status& status);
void add_completion(CLI::App& program);
void add_man(CLI::App& program);

} // namespace petnet::app
