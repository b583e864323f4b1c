// SPDX-License-Identifier: Apache-2.0
#include "app/command_line.hpp"
#include "app/commands.hpp"
#include "app/console.hpp"
#include "base/errors.hpp"
#include "base/version.hpp"

#include <cstdlib>
#include <exception>
#include <fmt/core.h>
#include <system_error>
#include <unistd.h>

using namespace petnet;

namespace {

constexpr int bug = 70;

// While one thread waits for another, libgomp lets it spin for milliseconds: on shared cores that takes from
// the very thread it waits for (measured: the same small training 27 s instead of 3.4 s). A short spin keeps
// the speed of an idle machine. libgomp reads its settings before main, hence the fresh start.
void bound_spinning(char** argv) {
    if (std::getenv("OMP_WAIT_POLICY") != nullptr || std::getenv("GOMP_SPINCOUNT") != nullptr) return;
    ::setenv("GOMP_SPINCOUNT", "20000", 0);
    ::execv("/proc/self/exe", argv); // where that fails, training is slower on shared cores and nothing else
}

int run(int argc, char** argv) {
    CLI::App program(
        "petnet fine-tunes ResNet-34 on photographs: cat or dog, 37 breeds, or your own classes.", "petnet");
    program.set_version_flag("--version", "petnet " + version());
    program.require_subcommand(1);
    program.failure_message(CLI::FailureMessage::simple);
    program.footer(
        "Start with `petnet train`: without options it trains on the embedded sample, offline.\n"
        "`petnet COMMAND --help` explains a command.\n"
        "Exit codes: 0 done, 2 wrong usage, 3 bad input, 4 the machine or network failed,\n"
        "            130 or 143 interrupted (train: with a checkpoint saved), 70 a bug in petnet.");
    app::exit_status status;
    app::add_train(program, status);
    app::add_predict(program, status);
    app::add_evaluate(program, status);
    app::add_export(program, status);
    app::add_serve(program, status);
    app::add_lr_find(program, status);
    app::add_data(program, status);
    app::add_inspect(program, status);
    app::add_doctor(program, status);
    app::add_completion(program);
    app::add_man(program);
    app::parse(program, argc, argv);
    app::flush_output();
    return status.code;
}

} // namespace

int main(int argc, char** argv) {
    app::occupy_standard_streams();
    bound_spinning(argv);
    try {
        return run(argc, argv);
    } catch (const CLI::Success& asked) { // --help, --version: the text is in the exception
        try {
            const int code = app::print_answer(asked);
            app::flush_output();
            return code;
        } catch (const std::exception& e) {
            app::tell("petnet: {}\n", e.what());
            return environment_error("").exit_code();
        }
    } catch (const error& e) {
        app::tell("petnet: {}\n", e.what());
        return e.exit_code();
    } catch (const std::bad_alloc&) {
        app::tell("petnet: out of memory: a smaller --batch-size or --size needs less\n");
        return environment_error("").exit_code();
    } catch (const std::system_error& e) { // no more threads, standard output closed, ...
        app::tell("petnet: the system refused: {}\n", e.what());
        return environment_error("").exit_code();
    } catch (const std::exception& e) {
        app::tell("petnet: this is a bug, please report it: {}\n", e.what());
        return bug;
    }
}
