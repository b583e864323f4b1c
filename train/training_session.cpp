// SPDX-License-Identifier: Apache-2.0
#include "train/training_session.hpp"

#include "base/errors.hpp"
#include "base/files.hpp"
#include "base/utc_time.hpp"
#include "model/model_file.hpp"
#include "model/weights/value_check.hpp"
#include "train/broken_training.hpp"
#include "train/metrics_log.hpp"
#include "train/run_report.hpp"
#include "train/run_tracking.hpp"
#include "train/shared_start.hpp"
#include "train/stopwatch.hpp"

#include <array>
#include <utility>

namespace petnet::train {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;

// Hands each report to several listeners.
class observers final : public observer {
  public:
    explicit observers(const std::array<observer*, 4>& all) : all_(all) {}
    void on_phase(const training_phase& phase) override { tell(&observer::on_phase, phase); }
    void on_step_begin() override { tell(&observer::on_step_begin); }
    void on_step(const step_report& step) override { tell(&observer::on_step, step); }
    void on_validation(std::int64_t done, std::int64_t batches) override {
        tell(&observer::on_validation, done, batches);
    }
    void on_validated(const std::vector<validated_photo>& photos) override {
        tell(&observer::on_validated, photos);
    }
    void on_epoch(const epoch_report& epoch) override { tell(&observer::on_epoch, epoch); }
    void on_warning(std::string_view line) override { tell(&observer::on_warning, line); }

  private:
    template <typename... Parameters, typename... Arguments>
    void tell(void (observer::*what)(Parameters...), const Arguments&... arguments) {
        for (observer* each : all_) (each->*what)(arguments...);
    }
    std::array<observer*, 4> all_;
};

std::int64_t epochs_of(const std::vector<training_phase>& phases) {
    std::int64_t count = 0;
    for (const training_phase& phase : phases) count += phase.epochs;
    return count;
}

std::uint64_t bytes_of(const std::vector<model::weight_tensor>& tensors) {
    std::uint64_t count = 0;
    for (const model::weight_tensor& tensor : tensors) count += tensor.bytes.size();
    return count;
}

// Where the system does not say, there is room: writing will show.
bool has_room(const fs::path& folder, std::uint64_t bytes) {
    std::error_code error;
    const fs::space_info space = fs::space(folder, error);
    return error || space.available >= bytes;
}

} // namespace

// Notes what the record and the report need: when the first step begins, and the latest answers.
class training_session::notes final : public observer {
  public:
    explicit notes(training_session& session) : session_(session) {}
    void on_step_begin() override {
        if (!session_.seconds_to_first_step_) session_.seconds_to_first_step_ = session_.seconds();
    }
    void on_validated(const std::vector<validated_photo>& photos) override { session_.answers_ = photos; }

  private:
    training_session& session_;
};

training_session::training_session(session_setup parts, json record, run_observer& listener)
    : parts_(std::move(parts)),
      record_(std::move(record)),
      listener_(listener),
      broken_told_(parts_.setup.photos.broken().size()),
      checkpoints_(parts_.output.checkpoint_file()) {
    record_["status"] = "running";
    record_["started"] = utc_now();
}

training_session::~training_session() = default;

double training_session::seconds() const {
    return std::chrono::duration<double>(std::chrono::steady_clock::now() - parts_.start).count();
}

run_result training_session::run(run_summary summary, const run_requests& requests) {
    parts_.output.write_run(record_); // first: a restart knows by it whose folder this is
    try {
        return train(std::move(summary), requests);
    } catch (const std::exception& problem) {
        record_failure(problem.what());
        parts_.tracking.end(tracking::ending::failed, parts_.output, requests.stop);
        throw;
    }
}

run_result training_session::train(run_summary summary, const run_requests& requests) {
    summary.epochs = epochs_of(parts_.phases);
    std::uint64_t metrics_bytes = 0;
    if (parts_.output.resumed()) metrics_bytes = parts_.output.resumed()->info.metrics_bytes;
    training_position position = restored(summary);
    share_start(parts_.setup, position);
    metrics_ = std::make_unique<metrics_log>(parts_.output.metrics_file(), metrics_bytes, listener_);
    parts_.output.write_valid_list(parts_.validation_names);
    listener_.on_start(summary);
    parts_.tracking.start(position.step);

    notes noted(*this);
    observers all({&noted, metrics_.get(), &parts_.tracking, &listener_});
    fine_tuner tuner(parts_.setup, parts_.phases, all);
    saved_at_ = std::chrono::steady_clock::now();
    const bool finished = tuner.run(
        position, {.stop_requested =
                       [&] {
                           tell_failed_checkpoint();
                           return requests.stop();
                       },
                   .checkpoint = [&](const training_position& at, checkpoint_reason why) { save(at, why); },
                   .checkpoint_due = [&] { return is_checkpoint_due(requests); }});
    record_["seconds"]["plans"] = tuner.seconds_preparing();
    checkpoints_.wait();
    tell_failed_checkpoint();
    tell_broken();
    tell_cache_failure();
    if (finished) {
        const stopwatch watch;
        write_model(position);
        record_["seconds"]["model"] = watch.seconds();
    }
    metrics_->finish();
    finish_record(finished ? "finished" : "interrupted");
    if (finished) record_["model_sha256"] = sha256(mapped_file(parts_.output.model_file()).bytes());
    parts_.output.write_run(record_);
    if (finished) write_report();
    parts_.tracking.end(finished ? tracking::ending::finished : tracking::ending::stopped, parts_.output,
                        requests.stop);
    if (!finished) return {};
    parts_.output.remove_checkpoint();
    return {finished, parts_.output.model_file()};
}

training_position training_session::restored(run_summary& summary) {
    const run_folder& output = parts_.output;
    if (!output.resumed()) return {};
    const std::vector<training_phase>& phases = parts_.phases;
    const training_position position = output.resumed()->info.position;
    const std::string file = output.resumed_from().string();
    require_position(position, phases, steps_per_epoch(parts_.setup), file);
    model::parameters& parameters = parts_.setup.parameters;
    if (position.phase < static_cast<std::int64_t>(phases.size()))
        model::restore_state(parameters, output.resumed()->state, file);
    else if (!model::load_weights(parameters, output.resumed()->state, file).head)
        throw input_error(file + " is damaged: the head is missing");
    summary.resumed = true;
    for (std::int64_t i = 0; i < position.phase; ++i)
        summary.resumed_epoch += phases[static_cast<std::size_t>(i)].epochs;
    summary.resumed_epoch += position.epoch;
    parts_.output.forget_resumed();
    return position;
}

void training_session::tell_broken() {
    const std::vector<data::broken_photo> broken = parts_.setup.photos.broken();
    if (broken.size() == broken_told_) return;
    broken_told_ = broken.size();
    listener_.on_warning(std::to_string(broken_told_) +
                         " photographs are broken and were left out; run.json names them, the first is " +
                         broken.front().reason);
}

void training_session::tell_cache_failure() {
    const auto reason = parts_.setup.photos.cache_failure();
    if (!reason || std::exchange(cache_failure_told_, true)) return;
    listener_.on_warning(*reason + ": photographs beyond --cache-memory are decoded in every epoch");
}

void training_session::tell_failed_checkpoint() {
    if (const auto reason = checkpoints_.take_failure())
        listener_.on_warning(*reason +
                             ": the training goes on, but an interruption now would cost the work since "
                             "the last checkpoint that could be written");
}

bool training_session::is_checkpoint_due(const run_requests& requests) const {
    const bool asked = requests.checkpoint && requests.checkpoint();
    return asked || (parts_.between_checkpoints.count() > 0 &&
                     std::chrono::steady_clock::now() - saved_at_ > parts_.between_checkpoints);
}

std::vector<model::weight_tensor> training_session::usable_state(bool moments) const {
    auto tensors = model::collect_state(parts_.setup.parameters, moments);
    model::value_check check;
    for (const model::weight_tensor& tensor : tensors) // float32, in memory of their own
        check.add(tensor.name, {reinterpret_cast<const float*>(tensor.bytes.data()), tensor.element_count()});
    if (const auto finding = check.finding())
        end_broken_training("the network is broken: " + *finding, parts_.setup.activations);
    return tensors;
}

void training_session::save(const training_position& at, checkpoint_reason why) {
    tell_broken();
    tell_cache_failure();
    checkpoints_.wait();
    tell_failed_checkpoint();
    checkpoints_.write(usable_state(true), {at, parts_.output.identity(), metrics_->bytes()});
    saved_at_ = std::chrono::steady_clock::now();
    if (why != checkpoint_reason::stop) return;
    checkpoints_.wait(); // who asked for the stop is promised that it is there
    if (const auto reason = checkpoints_.take_failure())
        throw environment_error(*reason +
                                ": a stop was asked for, and the work since the last checkpoint that "
                                "could be written is lost");
}

// The end of the run is saved as a checkpoint before the model, where there is room for both: should the
// model fail to be written, the same command then only writes that. Such a checkpoint is the model's tensors
// alone.
void training_session::write_model(const training_position& end) {
    const run_folder& output = parts_.output;
    const auto tensors = usable_state(false);
    const std::uint64_t bytes = bytes_of(tensors);
    const auto saved_end = [&] {
        try {
            write_checkpoint(output.checkpoint_file(), tensors, {end, output.identity(), metrics_->bytes()});
            return true;
        } catch (const environment_error&) { // the model is what counts
            return false;
        }
    };
    bool saved = has_room(output.path(), 2 * bytes) && saved_end();
    try {
        model::write_safetensors(output.model_file(), tensors, parts_.model_metadata);
    } catch (const environment_error& problem) {
        saved = saved || saved_end();
        const std::string need = std::to_string(bytes / 1'000'000 + 1) + " MB";
        throw environment_error(
            problem.what() +
            (saved
                 ? ": the training is done and saved in a checkpoint; see that " + need +
                       " can be written there, then the same command only writes the model"
                 : ": the training is done, but its end could not be saved either; see that " + need +
                       " can be written there, then the same command continues from the last checkpoint that "
                       "could be written"));
    }
}

void training_session::record_failure(const std::string& why) {
    record_["error"] = why;
    finish_record("failed");
    try {
        parts_.output.write_run(record_);
    } catch (const error&) { // the disk may be what failed: the first error is the one to tell
    }
}

// The training is done: what keeps it from being shown is a warning.
void training_session::write_report() {
    try {
        write_run_report(parts_.output.path(), record_, answers_, parts_.setup.photos);
    } catch (const std::exception& problem) {
        listener_.on_warning(std::string(problem.what()) + ": there is no report of this training");
    }
}

void training_session::finish_record(const char* status) {
    record_["status"] = status;
    record_["broken"] = json::array();
    for (const data::broken_photo& photo : parts_.setup.photos.broken())
        record_["broken"].push_back({{"file", photo.name}, {"reason", photo.reason}});
    if (const auto hash = parts_.setup.photos.data_hash()) record_["data"]["sha256"] = *hash;
    if (ranks::communicator& group = parts_.setup.group; group.size() > 1)
        record_["ranks"]["bytes_averaged"] = group.bytes_reduced();
    record_["seconds"]["total"] = seconds();
    if (seconds_to_first_step_) record_["seconds"]["to_first_step"] = *seconds_to_first_step_;
    record_["ended"] = utc_now();
}

} // namespace petnet::train
