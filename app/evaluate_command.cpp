// SPDX-License-Identifier: Apache-2.0
#include "app/commands.hpp"
#include "app/console.hpp"
#include "app/inference_options.hpp"
#include "app/input_options.hpp"
#include "app/progress_bar.hpp"
#include "app/stop_signal.hpp"
#include "base/errors.hpp"
#include "base/files.hpp"
#include "base/version.hpp"
#include "data/labels.hpp"
#include "data/split.hpp"
#include "infer/photo_answers.hpp"
#include "report/evaluation.hpp"
#include "report/report_page.hpp"
#include "train/places.hpp"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <fmt/format.h>
#include <memory>
#include <nlohmann/json.hpp>
#include <numeric>
#include <string>
#include <vector>

namespace petnet::app {
namespace {

namespace fs = std::filesystem;
using json = nlohmann::ordered_json;

struct evaluate_arguments {
    inference_options options;
    fs::path data, valid_list, report;
    data::labelling labels;
    std::string config;
    bool json = false;
};

json json_of(const report::evaluation& e, double images_per_second) {
    json of_class = json::array(), bins = json::array(), confusion = json::array();
    for (std::size_t c = 0; c < e.classes.size(); ++c) {
        const report::class_quality& q = e.of_class[c];
        of_class.push_back({{"class", e.classes[c]}, // precision and recall are null where they are no number
                            {"photographs", q.photographs},
                            {"precision", q.precision()},
                            {"recall", q.recall()}});
        json row = json::array();
        for (std::size_t answer = 0; answer < e.classes.size(); ++answer)
            row.push_back(e.confused(c, answer));
        confusion.push_back(row);
    }
    for (const report::calibration_bin& bin : e.bins)
        bins.push_back(
            {{"photographs", bin.photographs}, {"confidence", bin.confidence}, {"accuracy", bin.accuracy}});
    return {{"photographs", e.photographs},
            {"loss", e.loss},
            {"error_rate", e.error_rate},
            {"top5_error", e.top5_error},
            {"calibration_error", e.calibration_error},
            {"calibration_bins", bins},
            {"classes", of_class},
            {"confusion", confusion},
            {"images_per_second", images_per_second}};
}

std::string percent(double part) { return std::isnan(part) ? "-" : fmt::format("{:.1f} %", 100 * part); }

void print_plain(const report::evaluation& e, double images_per_second) {
    std::size_t width = 5;
    for (const std::string& name : e.classes) width = std::max(width, name.size());
    tell_result("{:<{}}  photographs  precision   recall\n", "class", width);
    for (std::size_t c = 0; c < e.classes.size(); ++c) {
        const report::class_quality& q = e.of_class[c];
        tell_result("{:<{}}  {:>11}  {:>9}  {:>7}\n", e.classes[c], width, q.photographs,
                    percent(q.precision()), percent(q.recall()));
    }
    constexpr std::size_t pairs_shown = 10;
    for (const report::confused_pair& pair : report::most_confused(e, pairs_shown))
        tell_result("{} taken for {}: {}\n", e.classes[pair.truth], e.classes[pair.answer], pair.photographs);
    tell_result("loss               {:.6f}\n", e.loss);
    tell_result("error_rate         {:.6f}  ({} of {})\n", e.error_rate, e.wrong, e.photographs);
    if (e.classes.size() > 5) tell_result("top5_error         {:.6f}\n", e.top5_error);
    tell_result("calibration_error  {:.6f}  (ECE, {} bins of equal width)\n", e.calibration_error,
                report::calibration_bins);
    tell_result("images_per_second  {:.1f}\n", images_per_second);
}

// Before the photographs are classified, not after.
void check_report(const fs::path& file) {
    if (file.empty()) return;
    if (file.extension() != ".html") throw usage_error("--report must name a file that ends in .html");
    const fs::path folder = file.has_parent_path() ? file.parent_path() : fs::path(".");
    std::error_code error;
    if (fs::is_directory(file, error)) throw usage_error("--report: " + file.string() + " is a folder");
    if (!fs::is_directory(folder, error))
        throw usage_error("--report: there is no folder " + folder.string());
}

void write_report(const evaluate_arguments& arguments, const infer::classifier& model,
                  const report::evaluation& e, const std::vector<report::answered_photo>& answers,
                  const std::vector<std::size_t>& places, data::photo_store& photos) {
    constexpr std::size_t pictured = 12; // photographs of the largest losses
    const model::model_description& d = model.description();
    const report::report_page page{
        .title = "Evaluation of ResNet-34",
        .subtitle = photos.folder().root.string(),
        .charts = {},
        .answers = e,
        .top_losses =
            report::top_losses(answers, pictured, [&](std::size_t i) { return photos.photo(places[i]); }),
        .facts = {{"Data",
                   {{"folder", photos.folder().root.string()},
                    {"photographs", std::to_string(e.photographs)},
                    {"broken, left out", std::to_string(photos.broken().size())},
                    {"classes", std::to_string(d.classes.size())}}},
                  {"Model",
                   {{"file", model_file(arguments.options).string()},
                    {"size", fmt::format("{} pixels", d.size)},
                    {"recipe", d.recipe},
                    {"labels", d.labels},
                    {"augmented at test time", arguments.options.tta ? "yes" : "no"}}},
                  {"Environment",
                   {{"petnet", version()}, {"device", model.device()}, {"precision", model.precision()}}}}};
    report::write_report(arguments.report, page);
}

// Where something says which photographs validate, only those: models train on the rest.
std::vector<std::size_t> to_evaluate(const evaluate_arguments& arguments, const data::dataset_folder& set,
                                     const data::labelled_photos& labelled) {
    if (!labelled.validates.empty())
        return data::split_by_marks(labelled.validates, "the column " + arguments.labels.columns.valid).valid;
    if (!arguments.valid_list.empty())
        return data::split_by_list(set.photographs, arguments.valid_list).valid;
    if (set.split) {
        tell("Only {}/ is evaluated: {}/ is what models train on\n", set.split->valid, set.split->train);
        return data::split_by_folders(set.photographs, *set.split).valid;
    }
    std::vector<std::size_t> all(set.photographs.photos.size());
    std::iota(all.begin(), all.end(), std::size_t{0});
    return all;
}

void run_evaluate(const evaluate_arguments& arguments, exit_status& status) {
    check_report(arguments.report);
    watch_stop_signals();
    progress_bar bar(false);
    const auto stop_requested = [] { return stop_signal() != 0; };
    const fs::path data = train::data_folder(
        arguments.data, {.on_progress = [&](const data::work_progress& now) { bar.show(now); },
                         .on_note =
                             [&](const std::string& line) {
                                 bar.erase();
                                 tell("{}\n", line);
                             },
                         .stop_requested = stop_requested});
    data::dataset_folder set = data::open_dataset_folder(data);
    const std::unique_ptr<infer::classifier> model =
        load_classifier(arguments.options, set.photographs.photos.size(), arguments.options.tta);
    const std::vector<std::string>& classes = model->description().classes;
    data::labelling how = arguments.labels;
    if (how.rule.empty()) how.rule = model->description().labels;
    const data::labelled_photos labelled = data::label_dataset(set, data, how, &classes);
    for (const std::string& line : set.warnings()) tell("Warning: {}\n", line);
    for (const std::string& line : labelled.warnings) tell("Warning: {}\n", line);
    const std::vector<std::int32_t>& labels = labelled.labels.of_photo;
    const std::vector<std::size_t> order = to_evaluate(arguments, set, labelled);
    data::photo_store photos = infer::photos_for(*model, std::move(set.photographs), arguments.options.tta);
    tell("{} photographs of {}, labelled by {}, on {}, {}\n", order.size(), data.string(), how.rule,
         model->device(), model->precision());

    std::vector<report::answered_photo> answers;
    std::vector<std::size_t> places; // of the answers' photographs in the folder
    const auto start = std::chrono::steady_clock::now();
    const bool finished = infer::answer_photos(
        *model, photos, order, answering(arguments.options, "evaluating", bar),
        [&](std::size_t photo, std::span<const float> logits) {
            places.push_back(photo);
            answers.push_back(
                {photos.folder().photos[photo].name, labels[photo], {logits.begin(), logits.end()}});
        });
    const std::chrono::duration<double> took = std::chrono::steady_clock::now() - start;
    bar.erase();
    if (!finished) {
        status.code = 128 + stop_signal();
        return;
    }
    const std::vector<data::broken_photo> broken = photos.broken();
    for (const data::broken_photo& photo : broken) tell("petnet: {}\n", photo.reason);
    if (answers.empty()) throw input_error("no photograph of " + data.string() + " could be classified");
    const report::evaluation e = report::evaluate(classes, answers);
    const double per_second = static_cast<double>(answers.size()) / took.count();
    if (arguments.json)
        tell_result("{}\n", json_of(e, per_second).dump());
    else
        print_plain(e, per_second);
    if (!arguments.report.empty()) write_report(arguments, *model, e, answers, places, photos);
    if (broken.empty()) return;
    tell("petnet: {} photographs are broken and were left out\n", broken.size());
    status.code = input_error("").exit_code();
}

} // namespace

void add_evaluate(CLI::App& program, exit_status& status) {
    CLI::App* command =
        program.add_subcommand("evaluate", "how well a trained model does on photographs of known classes");
    const auto arguments = std::make_shared<evaluate_arguments>();
    const auto add = [&](const char* name, auto& value, const char* help) {
        return add_option(*command, "Data", name, value, help);
    };
    add("--data", arguments->data, "folder of photographs, or pets, as for train")
        ->required()
        ->option_text("DIR|pets");
    add("--labels", arguments->labels.rule,
        "what a photograph shows, as for train; absent: as the model was trained")
        ->option_text(label_rules);
    add_table_options(*command, arguments->labels.columns);
    add("--valid-list", arguments->valid_list,
        "only the photographs that this file names, one a line: a training's valid.txt")
        ->option_text("FILE");
    add_inference_options(*command, arguments->options);
    command->add_flag("--json", arguments->json, "everything as one JSON object")->group("Answers");
    command
        ->add_option("--report", arguments->report,
                     "a page with charts, the confusion matrix and the photographs of the largest losses")
        ->option_text("FILE.html")
        ->group("Answers");
    add_tta_options(*command, arguments->options);
    add_config_option(*command, arguments->config);
    command->footer(
        "Prints precision and recall of each class, the pairs confused most, loss, error rate, top-5 error "
        "(of\n"
        "more than five classes), the expected calibration error and photographs per second, decoding "
        "included.\n"
        "Examples:\n"
        "  petnet evaluate --data my-photos --labels folder\n"
        "  petnet evaluate --model outputs --data pets --valid-list outputs/valid.txt --json");
    command->callback([arguments, &status] { run_evaluate(*arguments, status); });
}

} // namespace petnet::app
