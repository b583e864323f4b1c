// SPDX-License-Identifier: Apache-2.0
#include "train/run_tracking.hpp"

#include "base/errors.hpp"
#include "net/http_client.hpp"
#include "train/autolog.hpp"
#include "train/tracking/mlflow_sink.hpp"
#include "train/tracking/tensorboard_sink.hpp"

#include <string>
#include <utility>

namespace petnet::train {
namespace {

namespace fs = std::filesystem;

// Absolute, without a '/' at its end.
fs::path place_of(const run_folder& output) {
    std::error_code error;
    fs::path place = fs::weakly_canonical(fs::absolute(output.path(), error), error);
    return place.has_filename() ? place : place.parent_path();
}

// A folder for each run, by which viewers name it. Where an earlier run was moved away, its events go with
// it, if their place is free.
fs::path event_folder(const train_options& options, const run_folder& output) {
    std::error_code error;
    const fs::path logs =
        options.logs.empty() ? place_of(output).parent_path() / "logs" : fs::path(options.logs);
    fs::path folder = logs / run_name(output);
    if (!output.moved_to().empty()) {
        const fs::path moved = logs / output.moved_to().filename();
        if (!fs::exists(fs::symlink_status(moved, error))) fs::rename(folder, moved, error);
    }
    return folder;
}

} // namespace

std::string run_name(const run_folder& output) {
    const fs::path name = place_of(output).filename();
    return name.empty() ? "run" : name.string();
}

run_tracking::sinks make_sinks(const train_options& options, const run_folder& output, observer& warned) {
    const auto variables = tracking::from_environment;
    run_tracking::sinks sinks;
    if (options.logs != "none")
        sinks.push_back(std::make_unique<tracking::tensorboard_sink>(event_folder(options, output)));
    try {
        auto settings = tracking::read_mlflow_settings(variables);
        if (settings && !net::can_talk_http())
            warned.on_warning(
                "MLFLOW_TRACKING_URI is set, but this petnet was built without libcurl: the run "
                "is not tracked there");
        else if (settings)
            sinks.push_back(std::make_unique<tracking::mlflow_sink>(
                std::move(*settings), output.checkpoint_file().parent_path() / "mlflow_run.json"));
    } catch (const error& problem) { // no tracker's fault ends a training
        warned.on_warning(problem.what() + std::string("; the run is not tracked there"));
    }
    return sinks;
}

run_tracking::run_tracking(sinks to, tracking::run_start run, std::vector<training_phase> phases,
                           observer& warned)
    : sinks_(std::move(to)), run_(std::move(run)), phases_(std::move(phases)), warned_(warned) {}

void run_tracking::start(std::int64_t first_step) {
    run_.first_step = first_step;
    for (const auto& sink : sinks_) sink->start(run_);
    pass_warnings();
}

void run_tracking::on_step(const step_report& step) {
    last_step_ = step.step;
    tracking::report report{step.step, step.epoch, {{"loss", step.loss}}};
    for (std::size_t g = 0; g < step.hyper.lr.size(); ++g)
        report.values.push_back({"lr_" + std::to_string(g), step.hyper.lr[g]});
    report.values.push_back({"mom", step.hyper.mom});
    report.values.push_back({"images_per_second", step.images_per_second});
    for (const auto& sink : sinks_) sink->step(report);
    pass_warnings();
}

void run_tracking::on_epoch(const epoch_report& epoch) {
    const tracking::report report{last_step_,
                                  epoch.epoch,
                                  {{"epoch", static_cast<double>(epoch_in_phase(epoch.epoch))},
                                   {"train_loss", epoch.train_loss},
                                   {"valid_loss", epoch.validation.loss},
                                   {"error_rate", epoch.validation.error_rate}}};
    for (const auto& sink : sinks_) sink->epoch(report);
    pass_warnings();
}

// fastai counts from 0 in each phase.
std::int64_t run_tracking::epoch_in_phase(std::int64_t epoch) const {
    for (const training_phase& phase : phases_) {
        if (epoch < phase.epochs) break;
        epoch -= phase.epochs;
    }
    return epoch;
}

void run_tracking::end(tracking::ending how, const run_folder& output, const std::function<bool()>& hurry) {
    if (how == tracking::ending::finished) {
        std::vector<tracking::artifact> results = schedule_charts(phases_);
        for (const char* name : {"run.json", "metrics.jsonl", "valid.txt", "report.html"})
            if (std::error_code error; fs::exists(output.path() / name, error)) // a report may have failed
                results.push_back({.name = name, .file = output.path() / name});
        results.push_back({.name = "model/model.safetensors", .file = output.model_file()});
        for (const auto& sink : sinks_)
            for (const tracking::artifact& each : results) sink->keep(each);
    }
    for (const auto& sink : sinks_) sink->end(how, hurry);
    pass_warnings();
}

void run_tracking::pass_warnings() {
    for (const auto& sink : sinks_)
        for (const std::string& line : sink->take_warnings()) warned_.on_warning(line);
}

} // namespace petnet::train
