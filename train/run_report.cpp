// SPDX-License-Identifier: Apache-2.0
#include "train/run_report.hpp"

#include "base/files.hpp"
#include "report/report_page.hpp"

#include <array>
#include <cmath>
#include <cstdint>
#include <fmt/format.h>
#include <nlohmann/json.hpp>
#include <sstream>
#include <string>
#include <utility>

namespace petnet::train {
namespace {

using nlohmann::json;

constexpr std::size_t pictured = 12; // photographs of the largest losses

struct curves {
    report::line_chart losses{.title = "Loss",
                              .x = {.label = "step", .whole = true},
                              .y = {.label = "loss"},
                              .series = {},
                              .marks = {}};
    report::line_chart errors{.title = "Error rate",
                              .x = {.label = "epoch", .whole = true},
                              .y = {.label = "error rate"},
                              .series = {},
                              .marks = {}};
    report::line_chart rates{.title = "Learning rates",
                             .x = {.label = "step", .whole = true},
                             .y = {.label = "learning rate", .logarithmic = true},
                             .series = {},
                             .marks = {}};
};

// A loss that is no number is null in the file: it has no place in a chart.
double number(const json& object, const char* name) {
    const json& value = object.at(name);
    return value.is_number() ? value.get<double>() : std::nan("");
}

curves read_curves(const std::filesystem::path& file) {
    report::chart_series training{.name = "training", .points = {}, .faint = true},
        smoothed{"training, smoothed", {}}, validation{"validation", {}}, errors{"error rate", {}};
    std::array<report::chart_series, 3> rates{{{"early layers", {}}, {"late layers", {}}, {"head", {}}}};
    const mapped_file bytes(file);
    std::istringstream lines(
        std::string(reinterpret_cast<const char*>(bytes.bytes().data()), bytes.bytes().size()));
    double steps = 0;
    for (std::string line; std::getline(lines, line);) {
        const json object = json::parse(line);
        if (!object.contains("step")) {
            smoothed.points.push_back({steps, number(object, "train_loss")});
            validation.points.push_back({steps, number(object, "valid_loss")});
            errors.points.push_back({number(object, "epoch"), number(object, "error_rate")});
            continue;
        }
        training.points.push_back({++steps, number(object, "loss")});
        for (std::size_t group = 0; group < rates.size(); ++group)
            rates[group].points.push_back({steps, object.at("lr").at(group).get<double>()});
    }
    curves found;
    found.losses.series = {std::move(training), std::move(smoothed), std::move(validation)};
    found.errors.series = {std::move(errors)};
    found.rates.series = {std::move(rates[2]), std::move(rates[1]), std::move(rates[0])};
    return found;
}

std::string text_of(const json& value) {
    return value.is_string() ? value.get<std::string>()
                             : value.dump(-1, ' ', false, json::error_handler_t::replace);
}

report::fact_list facts(const char* title, const std::vector<std::pair<const char*, json>>& values) {
    report::fact_list list{title, {}};
    for (const auto& [name, value] : values)
        if (!value.is_null() && !text_of(value).empty()) list.facts.emplace_back(name, text_of(value));
    return list;
}

std::vector<report::fact_list> all_facts(const json& record) {
    const auto at = [&](const char* pointer) { return record.value(json::json_pointer(pointer), json()); };
    const json broken = at("/broken"), options = at("/options");
    report::fact_list configuration{"Configuration", {}};
    for (const auto& [name, value] : options.items())
        if (!text_of(value).empty()) configuration.facts.emplace_back(name, text_of(value));
    return {
        facts("Data", {{"folder", at("/data/folder")},
                       {"to train", at("/photographs/train")},
                       {"to validate", at("/photographs/valid")},
                       {"classes", at("/classes").size()},
                       {"broken, left out", broken.size()},
                       {"skipped, no images", at("/photographs/skipped")},
                       {"error of the larger class", fmt::format("{:.4f}", at("/guess_error").get<double>())},
                       {"SHA-256", at("/data/sha256")}}),
        std::move(configuration),
        facts("Environment", {{"petnet", at("/petnet")},
                              {"device", at("/device")},
                              {"precision", at("/precision")},
                              {"weights", at("/weights/source")},
                              {"weights' SHA-256", at("/weights/sha256")},
                              {"model's SHA-256", at("/model_sha256")},
                              {"started", at("/started")},
                              {"ended", at("/ended")},
                              {"seconds", fmt::format("{:.1f}", at("/seconds/total").get<double>())}})};
}

} // namespace

void write_run_report(const std::filesystem::path& folder, const json& record,
                      const std::vector<validated_photo>& answers, data::photo_store& photos) {
    curves found = read_curves(folder / "metrics.jsonl");
    write_file_atomically(folder / "training.svg", report::svg_of(found.losses));

    report::report_page page{
        .title = "Training of ResNet-34",
        .subtitle =
            fmt::format("{}, {}", text_of(record.at("data").at("folder")), text_of(record.at("started"))),
        .charts = {std::move(found.losses), std::move(found.errors), std::move(found.rates)},
        .answers = {},
        .top_losses = {},
        .facts = all_facts(record)};
    if (!answers.empty()) {
        std::vector<report::answered_photo> answered;
        answered.reserve(answers.size());
        for (const validated_photo& each : answers)
            answered.push_back({photos.folder().photos[each.photo].name, each.label, each.logits});
        page.answers = report::evaluate(record.at("classes").get<std::vector<std::string>>(), answered);
        page.top_losses = report::top_losses(answered, pictured,
                                             [&](std::size_t i) { return photos.photo(answers[i].photo); });
    }
    report::write_report(folder / "report.html", page);
}

} // namespace petnet::train
