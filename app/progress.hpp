// SPDX-License-Identifier: Apache-2.0
// A training as a person watches it: what is known beforehand, a table of epochs on standard output, and on a
// terminal a progress bar (standard error).
#pragma once

#include "app/progress_bar.hpp"
#include "train/run.hpp"

namespace petnet::app {

class progress final : public train::run_observer {
  public:
    // quiet: only the table and warnings.
    explicit progress(bool quiet);

    void on_fetch(const data::work_progress& now) override;
    void on_fetch_note(std::string_view line) override;
    void on_start(const train::run_summary& summary) override;
    void on_phase(const train::training_phase& phase) override;
    void on_step(const train::step_report& step) override;
    void on_validation(std::int64_t done, std::int64_t batches) override;
    void on_epoch(const train::epoch_report& epoch) override;
    void on_warning(std::string_view line) override;

  private:
    bool quiet_;
    progress_bar bar_;
    std::int64_t epochs_ = 0;
    double images_per_second_ = 0; // running mean
};

// Data, classes, weights and device, a line each.
void tell_inputs(const train::run_summary& summary);

} // namespace petnet::app
