// SPDX-License-Identifier: Apache-2.0
#include "app/commands.hpp"
#include "app/console.hpp"
#include "app/input_options.hpp"
#include "app/progress.hpp"
#include "app/progress_bar.hpp"
#include "app/stop_signal.hpp"
#include "base/errors.hpp"
#include "base/files.hpp"
#include "report/svg_chart.hpp"
#include "train/lr_find.hpp"
#include "train/training_inputs.hpp"

#include <filesystem>
#include <fmt/format.h>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>

namespace petnet::app {
namespace {

namespace fs = std::filesystem;

struct lr_find_arguments {
    train::train_options options;
    std::string config;
    fs::path output = "lr-find.svg";
    bool json = false, quiet = false;
};

// Before the steps are made, not after.
void check_output(const fs::path& file) {
    if (file.extension() != ".svg") throw usage_error("--output must name a file that ends in .svg");
    const fs::path folder = file.has_parent_path() ? file.parent_path() : fs::path(".");
    std::error_code error;
    if (!fs::is_directory(folder, error))
        throw usage_error("--output: there is no folder " + folder.string());
    if (fs::is_directory(file, error)) throw usage_error("--output: " + file.string() + " is a folder");
}

std::string picture(const train::lr_curve& curve, const train::lr_point& suggestion) {
    constexpr std::size_t left_out = 5; // at the end, where the loss runs away: as fastai's picture
    report::chart_series losses{"loss", {}};
    for (std::size_t i = 0; i + left_out < curve.points().size(); ++i)
        losses.points.push_back({curve.points()[i].lr, curve.points()[i].loss});
    return report::svg_of(
        {.title = "Loss while the learning rate rises",
         .x = {.label = "learning rate", .logarithmic = true},
         .y = {.label = "loss (smoothed)"},
         .series = {std::move(losses)},
         .marks = {{{suggestion.lr, suggestion.loss}, fmt::format("suggested: {:.2g}", suggestion.lr)}}});
}

void print_result(const train::lr_curve& curve, const train::lr_point& suggestion, bool json) {
    if (!json) {
        tell_result("{:.6g}\n", suggestion.lr);
        return;
    }
    nlohmann::json rates = nlohmann::json::array(), losses = nlohmann::json::array();
    for (const train::lr_point& point : curve.points()) {
        rates.push_back(point.lr);
        losses.push_back(point.loss); // what is not a number becomes null
    }
    tell_result("{}\n",
                nlohmann::json{{"lr", suggestion.lr}, {"curve", {{"lr", rates}, {"loss", losses}}}}.dump());
}

void find_lr(const lr_find_arguments& arguments, exit_status& status) {
    check_weights(arguments.options.weights);
    check_output(arguments.output);
    watch_stop_signals();
    const auto stop_requested = [] { return stop_signal() != 0; };
    progress_bar bar(arguments.quiet);
    const auto warn = [&](const std::string& line) {
        bar.erase();
        tell("Warning: {}\n", line);
    };
    const data::work_listener fetching{.on_progress = [&](const data::work_progress& now) { bar.show(now); },
                                       .on_note =
                                           [&](const std::string& line) {
                                               bar.erase();
                                               if (!arguments.quiet) tell("{}\n", line);
                                           },
                                       .stop_requested = stop_requested};
    const train::training_inputs inputs = train::load_inputs(arguments.options, fetching, warn);
    bar.erase();
    if (!arguments.quiet) tell_inputs(train::summary_of(inputs, arguments.options));

    const auto show = [&](const train::lr_curve& curve) {
        const auto done = static_cast<std::int64_t>(curve.points().size());
        bar.show("mock step", static_cast<double>(done) / static_cast<double>(train::lr_search_steps),
                 fmt::format("{}/{}  lr {:.1e}  loss {:.4f}", done, train::lr_search_steps,
                             curve.points().back().lr, curve.points().back().loss));
    };
    const train::lr_find_result result = train::find_lr(
        train::setup_of(inputs), {.on_step = show, .stop_requested = stop_requested, .on_warning = warn});
    bar.erase();
    if (const auto broken = inputs.photos->broken(); !broken.empty())
        warn(fmt::format("{} photographs are broken and were left out, the first is {}", broken.size(),
                         broken.front().reason));
    if (!result.finished) {
        tell("Interrupted: nothing was kept.\n");
        status.code = 128 + stop_signal();
        return;
    }
    const auto suggestion = train::suggested_lr(result.curve.points());
    if (!suggestion)
        throw input_error(fmt::format(
            "no learning rate to suggest: the loss was no number, or four times its least, before "
            "the rate was {:.1e}; see whether the weights ({}) and photographs are sound",
            result.curve.points().back().lr, inputs.weights));
    print_result(result.curve, *suggestion, arguments.json);
    write_file_atomically(arguments.output, picture(result.curve, *suggestion));
    if (!arguments.quiet)
        tell("Suggested: --lr {:.2g} (halfway into the longest valley of the loss); the picture is in {}\n",
             suggestion->lr, arguments.output.string());
}

void run_lr_find(const lr_find_arguments& arguments, exit_status& status) {
    try {
        find_lr(arguments, status);
    } catch (const data::work_stopped&) {
        tell("Interrupted: what was downloaded is kept, the same command continues from it.\n");
        status.code = 128 + stop_signal();
    }
}

} // namespace

void add_lr_find(CLI::App& program, exit_status& status) {
    CLI::App* command =
        program.add_subcommand("lr-find", "suggest a learning rate for train, as fastai's lr_find");
    const auto arguments = std::make_shared<lr_find_arguments>();
    add_input_options(*command, arguments->options);
    // Without a variable: PETNET_OUTPUT is train's folder.
    command->add_option("--output", arguments->output, "picture of the loss over the learning rate")
        ->group("Files")
        ->option_text("FILE=lr-find.svg");
    command->add_flag("--json", arguments->json, "print the suggestion and the curve as JSON")
        ->group("Files");
    add_config_option(*command, arguments->config);
    command->add_flag("--quiet", arguments->quiet, "only the number")
        ->group("Files")
        ->envname("PETNET_QUIET");
    command->footer(
        "Makes 100 mock steps of the frozen phase at rates from 1e-7 to 10, fewer where the loss runs away, "
        "and\n"
        "prints the rate halfway into the longest valley of the loss. Keeps nothing but the picture.\n"
        "Examples:\n"
        "  petnet lr-find --data my-photos --labels folder\n"
        "  petnet train --lr \"$(petnet lr-find --quiet)\"");
    command->callback([arguments, &status] { run_lr_find(*arguments, status); });
}

} // namespace petnet::app
