// SPDX-License-Identifier: Apache-2.0
#include "app/command_line.hpp"
#include "app/commands.hpp"
#include "app/console.hpp"
#include "app/progress.hpp"
#include "base/errors.hpp"
#include "train/run.hpp"

#include <algorithm>
#include <atomic>
#include <cctype>
#include <charconv>
#include <csignal>
#include <filesystem>
#include <fmt/core.h>
#include <limits>
#include <memory>

namespace petnet::app {
namespace {

std::atomic<int> stop_signal = 0;
static_assert(std::atomic<int>::is_always_lock_free, "set in a signal handler");

void request_stop(int signal) {
    stop_signal = signal;
    std::signal(signal, SIG_DFL); // who asks twice does not want to wait for the checkpoint
}

// --batch-size is also PETNET_BATCH_SIZE.
CLI::Option* with_environment(CLI::Option* option) {
    std::string name = "PETNET_";
    for (const char c : option->get_lnames().front())
        name += c == '-' ? '_' : static_cast<char>(std::toupper(static_cast<unsigned char>(c)));
    return option->envname(name)->type_size(1);
}

struct train_arguments {
    train::train_options options;
    std::string config;
    bool quiet = false;
};

// A misspelt name would pass for a file that is not there.
void check_weights(const std::string& weights) {
    const std::vector<std::string> names{"imagenet", "embedded", "random"};
    std::error_code error;
    if (weights.empty() || std::ranges::find(names, weights) != names.end() ||
        std::filesystem::exists(weights, error))
        return;
    if (const std::string near = nearest(weights, names); !near.empty())
        throw usage_error("--weights " + weights + ": no such file, did you mean " + near + "?");
}

void run_train(const train_arguments& arguments, exit_status& status) {
    check_weights(arguments.options.weights);
    progress watcher(arguments.quiet);
    std::signal(SIGINT, request_stop);
    std::signal(SIGTERM, request_stop);
    std::signal(SIGPIPE, SIG_IGN); // who reads the table may leave before its end
    const train::run_result result =
        train::run_training(arguments.options, watcher, [] { return stop_signal.load() != 0; });
    if (result.finished) {
        if (!arguments.quiet) tell("The model is in {}\n", result.model.string());
        return;
    }
    tell("Interrupted: a checkpoint is saved, the same command continues from it.\n");
    status.code = 128 + stop_signal.load();
}

} // namespace

void add_train(CLI::App& program, exit_status& status) {
    CLI::App* command = program.add_subcommand("train", "fine-tune ResNet-34 on a folder of photographs");
    const auto arguments = std::make_shared<train_arguments>();
    train::train_options& o = arguments->options;
    const auto add = [&](const char* group, const char* name, auto& value, const char* help) {
        return with_environment(command->add_option(name, value, help)->group(group)->capture_default_str());
    };
    add("Data", "--data", o.data, "folder of photographs; absent: the embedded sample (296 pets)")
        ->option_text("DIR");
    add("Data", "--labels", o.labels,
        "what a photograph shows: cat-dog (capitalised names are cats), breed (NAME_12.jpg), folder, "
        "regex=RE (its "
        "first group)");
    add("Data", "--valid-pct", o.valid_pct, "part of the photographs to validate on");
    add("Data", "--valid-list", o.valid_list, "file that names the photographs to validate on, one a line")
        ->option_text("FILE")
        ->excludes("--valid-pct");
    add("Data", "--size", o.size, "side of the square that photographs are cut and resized to, in pixels");
    add("Data", "--recipe", o.recipe, "basic: random square crops");
    add("Data", "--max-bad-images", o.max_bad_images,
        "part of the photographs that may be broken before the run stops");

    command->add_flag("--exif", o.exif, "turn photographs as their EXIF orientation says; else it is ignored")
        ->group("Data")
        ->envname("PETNET_EXIF");

    add("Training", "--weights", o.weights,
        "start: imagenet, embedded, random, or a file (safetensors or torch .pth); absent: embedded with the "
        "sample, "
        "else imagenet")
        ->option_text("NAME|FILE");
    add("Training", "--epochs", o.epochs, "epochs with everything training");
    add("Training", "--freeze-epochs", o.freeze_epochs,
        "epochs before, with the pretrained convolutions frozen");
    add("Training", "--lr", o.lr, "base learning rate, as fastai's fine_tune");
    add("Training", "--batch-size", o.batch_size, "photographs per step");
    add("Training", "--seed", o.seed,
        "of the split, the order, the crops, the head and dropout; same seed, same bits")
        ->check([](const std::string& text) { // CLI11 would wrap what is negative, and cut what is too large
            std::uint64_t number = 0;
            const char* const end = text.data() + text.size();
            const auto [stopped, error] = std::from_chars(text.data(), end, number);
            return stopped == end && error == std::errc()
                       ? std::string()
                       : "must be a whole number from 0 to " +
                             std::to_string(std::numeric_limits<std::uint64_t>::max());
        });

    add("Machine", "--device", o.device, "auto, cpu, cuda, reference, or check:A,B (runs both and compares)");
    add("Machine", "--precision", o.precision, "auto (the fastest this machine has), fp32, bf16 or fp16");
    command
        ->add_flag("--tf32", o.tf32,
                   "fp32 on a GPU: convolutions on tensor cores, their inputs rounded to 11 bits of mantissa")
        ->group("Machine")
        ->envname("PETNET_TF32");
    add("Machine", "--threads", o.threads, "processor threads; 0: all that are there");
    with_environment(command->add_option("--cache-memory", o.cache_memory,
                                         "memory for decoded photographs, as 8GB; what does not fit goes to "
                                         "a file in ~/.cache/petnet, which later runs use again; absent: half "
                                         "of the memory there is"))
        ->option_text("BYTES")
        ->group("Machine")
        ->transform(CLI::AsSizeValue(true));

    add("Files", "--output", o.output, "folder for the model, logs and checkpoints")
        ->option_text("DIR=outputs");
    add("Files", "--resume", o.resume,
        "auto: continue an unfinished run of the same options in the output folder; never; or a checkpoint "
        "file");
    with_environment(
        command->add_option("--config", arguments->config, "settings file (TOML or INI): batch-size = 32"))
        ->option_text("FILE")
        ->group("Files");
    command->add_flag("--quiet", arguments->quiet, "only the table of epochs")
        ->group("Files")
        ->envname("PETNET_QUIET");
    command->footer(
        "Every option can also come from the environment (PETNET_BATCH_SIZE=32) or from --config.\n"
        "Examples:\n"
        "  petnet train                                     the embedded sample, offline\n"
        "  petnet train --data pets                         cat or dog from ImageNet weights, as fastai's "
        "quick start\n"
        "  petnet train --data pets --labels breed --epochs 4 --lr 3e-3\n"
        "  petnet train --data my-photos --labels folder --output run1");
    command->callback([arguments, &status] { run_train(*arguments, status); });
}

} // namespace petnet::app
