// SPDX-License-Identifier: Apache-2.0
// A run from its first step, or from its checkpoint, to its model: what is written on the way, and what
// happens where that fails.
#pragma once

#include "train/fine_tuner.hpp"
#include "train/run.hpp"
#include "train/run_folder.hpp"

#include <chrono>
#include <functional>
#include <map>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <vector>

namespace petnet::train {

class metrics_log;
class run_tracking;

struct session_setup {
    training_setup setup;
    std::vector<training_phase> phases;
    run_folder& output;
    run_tracking& tracking;
    std::chrono::duration<double> between_checkpoints; // within an epoch; 0: none there
    std::map<std::string, std::string> model_metadata;
    std::vector<std::string> validation_names;
    std::chrono::steady_clock::time_point start; // of the program's work
};

class training_session {
  public:
    // `record` is run.json as far as it is known. All must outlive the session.
    training_session(session_setup parts, nlohmann::json record, run_observer& listener);
    ~training_session();
    training_session(const training_session&) = delete; // its observers hold its address
    training_session& operator=(const training_session&) = delete;

    // Errors as run_training's. A training is not lost to a disk that is full for a while: a checkpoint or a
    // line of the log that cannot be written is a warning. environment_error where a checkpoint cannot be
    // written when a stop is asked for, or the model at the end. An error that ends the run is in run.json.
    [[nodiscard]] run_result run(run_summary summary, const run_requests& requests);

  private:
    class notes;

    [[nodiscard]] run_result train(run_summary summary, const run_requests& requests);
    // Takes the state of the run that the folder continues; its place.
    [[nodiscard]] training_position restored(run_summary& summary);
    void tell_broken();
    void tell_cache_failure();
    void tell_failed_checkpoint();
    [[nodiscard]] bool is_checkpoint_due(const run_requests& requests) const;
    // model::collect_state; ends the training where it holds what value_check.hpp finds.
    [[nodiscard]] std::vector<model::weight_tensor> usable_state(bool moments) const;
    void save(const training_position& at, checkpoint_reason why);
    void write_model(const training_position& end);
    [[nodiscard]] double seconds() const;
    void finish_record(const char* status);
    void record_failure(const std::string& why);
    void write_report();

    session_setup parts_;
    nlohmann::json record_;
    run_observer& listener_;
    std::size_t broken_told_;
    bool cache_failure_told_ = false;
    std::optional<double> seconds_to_first_step_;
    std::vector<validated_photo> answers_; // of the last epoch; none where only the model had to be written
    std::unique_ptr<metrics_log> metrics_;
    checkpoint_writer checkpoints_;
    std::chrono::steady_clock::time_point saved_at_ = std::chrono::steady_clock::now();
};

} // namespace petnet::train
