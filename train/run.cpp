// SPDX-License-Identifier: Apache-2.0
#include "train/run.hpp"

#include "base/errors.hpp"
#include "base/version.hpp"
#include "model/model_description.hpp"
#include "train/autolog.hpp"
#include "train/ranks/join.hpp"
#include "train/ranks/launch.hpp"
#include "train/run_folder.hpp"
#include "train/run_identity.hpp"
#include "train/run_tracking.hpp"
#include "train/shared_start.hpp"
#include "train/tracking/mlflow_settings.hpp"
#include "train/training_inputs.hpp"
#include "train/training_session.hpp"

#include <chrono>
#include <nlohmann/json.hpp>

namespace petnet::train {
namespace {

using nlohmann::json;

// The options that load_inputs does not know.
void check_schedule(const train_options& options) {
    const auto require = [](bool holds, const char* rule) {
        if (!holds) throw usage_error(rule);
    };
    require(options.epochs >= 0 && options.freeze_epochs >= 0,
            "--epochs and --freeze-epochs must not be negative");
    require(options.lr > 0 && options.lr < 100, "--lr must be above 0 and below 100");
    require(options.checkpoint_minutes >= 0, "--checkpoint-minutes must not be negative");
    constexpr std::int64_t most_epochs = 1'000'000; // their steps can be counted in 64 bits
    require(options.epochs <= most_epochs && options.freeze_epochs <= most_epochs,
            "--epochs and --freeze-epochs must not exceed 1000000");
    require(options.epochs + options.freeze_epochs > 0,
            "--epochs and --freeze-epochs are both 0: nothing to train");
}

// What one process needs to take part.
struct participant {
    const train_options& options;
    run_observer& listener;
    const run_requests& requests;
    process_place place;
    std::chrono::steady_clock::time_point start;

    [[nodiscard]] training_inputs inputs() const {
        const data::work_listener fetching{
            .on_progress = [this](const data::work_progress& progress) { listener.on_fetch(progress); },
            .on_note = [this](const std::string& line) { listener.on_fetch_note(line); },
            .stop_requested = requests.stop};
        return load_inputs(
            options, fetching, [this](const std::string& line) { listener.on_warning(line); }, place);
    }
};

// The options with what the inputs decided.
train_options decided(train_options options, const training_inputs& inputs) {
    options.labels = inputs.label_rule;
    return options;
}

std::string identity_of(const training_inputs& inputs, const train_options& options) {
    return identity_of(decided(options, inputs), std::string(kernels::name_of(inputs.activations)),
                       inputs.weights_hash + inputs.weights_key, inputs.photos->folder(), inputs.labels,
                       inputs.split);
}

// All that ranks must have in common.
std::string common_to_ranks(const training_inputs& inputs, const std::string& identity) {
    return identity + inputs.device->name() + version();
}

run_result lead(const participant& self) {
    run_observer& listener = self.listener;
    // All that can be refused is refused before the output folder is touched.
    const training_inputs inputs = self.inputs();
    const train_options options = decided(self.options, inputs);
    const std::string identity = identity_of(inputs, options);
    require_same_run(*inputs.group, common_to_ranks(inputs, identity));

    run_folder output(options.output, options.resume, identity);

    if (output.damage())
        listener.on_warning("the run in " + output.path().string() +
                            " cannot be continued and begins anew: " + *output.damage());
    run_summary summary = summary_of(inputs, options);
    summary.output = output.path();
    summary.moved_to = output.moved_to();

    json record{{"petnet", version()},
                {"status", "running"},
                {"options", options_json(options)},
                {"seed", options.seed},
                {"device", summary.device},
                {"precision", summary.precision},
                {"classes", inputs.labels.class_names},
                {"photographs",
                 {{"train", summary.train},
                  {"valid", summary.valid},
                  {"skipped", summary.skipped},
                  {"hidden", summary.hidden}}},
                {"guess_error", summary.guess_error},
                {"weights", {{"source", inputs.weights}, {"sha256", inputs.weights_hash}}},
                {"data",
                 {{"folder", inputs.data_folder.string()},
                  {"names_and_sizes_sha256", inputs.photos->folder().fingerprint()}}},
                {"identity", output.identity()},
                {"seconds",
                 {{"photographs_opened", inputs.seconds_photographs_opened},
                  {"device", inputs.seconds_device},
                  {"weights", inputs.seconds_weights}}}};
    if (const ranks::communicator& group = *inputs.group; group.size() > 1)
        record["ranks"] = {{"size", group.size()}, {"sums_by", group.transport()}};

    std::vector<std::string> validation_names;
    for (const std::size_t index : inputs.split.valid)
        validation_names.push_back(inputs.photos->folder().photos[index].name);

    const std::vector<training_phase> phases =
        fine_tune_phases(options.epochs, options.lr, options.freeze_epochs);
    run_tracking tracking(make_sinks(options, output, listener),
                          {.name = run_name(output),
                           .identity = output.identity(),
                           .parameters = autolog_parameters(options, phases),
                           .tags = {{"petnet.version", version()},
                                    {"petnet.device", summary.device},
                                    {"petnet.precision", summary.precision},
                                    {"petnet.weights", inputs.weights_hash}}},
                          phases, listener);
    training_session session(
        {.setup = setup_of(inputs),
         .phases = phases,
         .output = output,
         .tracking = tracking,
         .between_checkpoints = std::chrono::duration<double>(60 * options.checkpoint_minutes),
         .model_metadata =
             model::metadata_of({.classes = inputs.labels.class_names,
                                 .size = options.size,
                                 .photo_size = static_cast<std::int64_t>(inputs.photos->options().image_size),
                                 .mean = model::plan_options{}.mean,
                                 .deviation = model::plan_options{}.deviation,
                                 .recipe = options.recipe,
                                 .turned_by_exif = options.exif,
                                 .labels = options.labels}),
         .validation_names = std::move(validation_names),
         .start = self.start},
        std::move(record), listener);
    return session.run(std::move(summary), self.requests);
}

// Of a rank that writes nothing.
class warnings_of_rank final : public run_observer {
  public:
    warnings_of_rank(int rank, run_observer& to) : rank_(rank), to_(to) {}
    void on_warning(std::string_view line) override {
        to_.on_warning("rank " + std::to_string(rank_) + ": " + std::string(line));
    }

  private:
    int rank_;
    run_observer& to_;
};

run_result follow(const participant& self) {
    const training_inputs inputs = self.inputs();
    require_same_run(*inputs.group, common_to_ranks(inputs, identity_of(inputs, self.options)));
    const training_setup setup = setup_of(inputs);
    training_position position;
    share_start(setup, position);
    fine_tuner tuner(setup,
                     fine_tune_phases(self.options.epochs, self.options.lr, self.options.freeze_epochs),
                     self.listener);
    const bool finished = tuner.run(position, {.stop_requested = self.requests.stop,
                                               .checkpoint = [](const auto&, auto) {}, // rank 0's
                                               .checkpoint_due = self.requests.checkpoint});
    return {.finished = finished, .leads = false};
}

// Who wrote everything is done, whoever is gone meanwhile; to the others that one is what counts.
void leave(ranks::communicator& group) {
    try {
        group.leave();
    } catch (const environment_error&) {
        if (!group.leads()) throw;
    }
}

run_result train_together(const train_options& options, run_observer& listener, const run_requests& requests,
                          const ranks::launch& launched, std::chrono::steady_clock::time_point start) {
    ranks::choose_gpu(launched);
    const auto group =
        ranks::join(launched, {.stop_requested = requests.stop,
                               .on_wait = [&](const std::string& line) { listener.on_fetch_note(line); },
                               .watch = {.on_stuck = requests.abandon}});
    if (!group) throw data::work_stopped();
    const process_place place{.group = *group, .on_this_machine = launched.local_size};
    warnings_of_rank quiet(launched.rank, listener);
    try {
        run_result result = group->leads() ? lead({options, listener, requests, place, start})
                                           : follow({options, quiet, requests, place, start});
        leave(*group);
        return result;
    } catch (const std::exception& problem) {
        group->fail(problem.what());
        throw;
    }
}

} // namespace

run_result run_training(const train_options& options, run_observer& listener, const run_requests& requests) {
    const auto start = std::chrono::steady_clock::now();
    check_schedule(options);
    const ranks::launch launched = ranks::read_launch(tracking::from_environment);
    return launched.size == 1 ? lead({options, listener, requests, {}, start})
                              : train_together(options, listener, requests, launched, start);
}

} // namespace petnet::train
