// SPDX-License-Identifier: Apache-2.0
#include "app/commands.hpp"
#include "app/console.hpp"
#include "app/inference_options.hpp"
#include "app/input_options.hpp"
#include "app/photo_arguments.hpp"
#include "app/progress_bar.hpp"
#include "app/stop_signal.hpp"
#include "base/errors.hpp"
#include "infer/answer_json.hpp"
#include "infer/photo_answers.hpp"
#include "infer/probabilities.hpp"

#include <algorithm>
#include <fmt/format.h>
#include <iostream>
#include <memory>
#include <numeric>
#include <string>
#include <vector>

namespace petnet::app {
namespace {

struct predict_arguments {
    inference_options options;
    std::vector<std::string> images;
    std::string config;
    bool json = false;
};

// A file name need not be UTF-8; JSON must.
constexpr auto replace = nlohmann::json::error_handler_t::replace;

std::string json_line(const std::string& file, const std::vector<std::string>& classes,
                      std::span<const float> logits) {
    return infer::answer_json(file, classes, logits).dump(-1, ' ', false, replace);
}

// "cat 0.9731", or with more than two classes the three likeliest.
std::string plain_line(const std::string& file, const std::vector<std::string>& classes,
                       std::span<const float> logits) {
    const std::vector<double> p = infer::probabilities_of(logits);
    std::vector<std::size_t> order(p.size());
    std::iota(order.begin(), order.end(), std::size_t{0});
    std::ranges::stable_sort(order, std::greater(), [&](std::size_t c) { return logits[c]; });
    const std::size_t shown = p.size() > 2 ? std::min<std::size_t>(3, p.size()) : 1;
    std::string line = file + ":";
    for (std::size_t i = 0; i < shown; ++i)
        line += fmt::format("{} {} {:.4f}", i == 0 ? "" : ",", classes[order[i]], p[order[i]]);
    return line;
}

void run_predict(const predict_arguments& arguments, exit_status& status) {
    data::image_folder named = photos_named(arguments.images, std::cin);
    watch_stop_signals();
    const std::unique_ptr<infer::classifier> model =
        load_classifier(arguments.options, named.photos.size(), arguments.options.tta);
    data::photo_store photos = infer::photos_for(*model, std::move(named), arguments.options.tta);
    const std::vector<data::photo_entry>& entries = photos.folder().photos;
    std::vector<std::size_t> order(entries.size());
    std::iota(order.begin(), order.end(), std::size_t{0});

    progress_bar bar(false);
    const bool finished = infer::answer_photos(
        *model, photos, order, answering(arguments.options, "classifying", bar),
        [&](std::size_t photo, std::span<const float> logits) {
            const auto& line = arguments.json ? json_line : plain_line;
            bar.erase();
            tell_result("{}\n", line(entries[photo].name, model->description().classes, logits));
        });
    bar.erase();
    const std::vector<data::broken_photo> broken = photos.broken();
    for (const data::broken_photo& photo : broken) tell("petnet: {}\n", photo.reason);
    if (!finished) {
        status.code = 128 + stop_signal();
        return;
    }
    if (broken.empty()) return;
    const std::size_t all = entries.size() + photos.folder().broken.size();
    tell("petnet: {} of {} photographs could not be classified\n", broken.size(), all);
    status.code = input_error("").exit_code();
}

} // namespace

void add_predict(CLI::App& program, exit_status& status) {
    CLI::App* command = program.add_subcommand("predict", "say what photographs show, by a trained model");
    const auto arguments = std::make_shared<predict_arguments>();
    command
        ->add_option(
            "images", arguments->images,
            "files, folders, patterns in quotes ('pets/*.jpg'), or - for a list on standard input, one "
            "a line")
        ->required()
        ->option_text("IMAGE...");
    add_inference_options(*command, arguments->options);
    command
        ->add_flag("--json", arguments->json,
                   "a JSON object a line: file, label, probability, probabilities of all classes, logits")
        ->group("Answers");
    add_tta_options(*command, arguments->options);
    add_config_option(*command, arguments->config);
    command->footer("Photographs that cannot be read are named on standard error, the others are classified "
                    "all the same; "
                    "the\nexit code is then 3.\n"
                    "Examples:\n"
                    "  petnet predict cat.jpg\n"
                    "  petnet predict --model outputs --json my-photos 'more/*.png' > answers.jsonl\n"
                    "  find . -name '*.jpg' | petnet predict --tta -");
    command->callback([arguments, &status] { run_predict(*arguments, status); });
}

} // namespace petnet::app
