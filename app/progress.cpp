// SPDX-License-Identifier: Apache-2.0
#include "app/progress.hpp"

#include "app/console.hpp"

#include <algorithm>
#include <fmt/core.h>

namespace petnet::app {
namespace {

std::string joined(const std::vector<std::string>& names) {
    constexpr std::size_t shown = 6;
    std::string text;
    for (std::size_t i = 0; i < std::min(names.size(), shown); ++i) text += (i > 0 ? ", " : "") + names[i];
    return names.size() > shown ? text + ", ..." : text;
}

} // namespace

progress::progress(bool quiet) : quiet_(quiet), bar_(quiet) {}

void progress::on_fetch(const data::work_progress& now) { bar_.show(now); }

void progress::on_fetch_note(std::string_view line) {
    bar_.erase();
    if (!quiet_) tell("{}\n", line);
}

void tell_inputs(const train::run_summary& s) {
    tell("Data      {}: {} to train, {} to validate, split {}\n", s.data, s.train, s.valid, s.split);
    if (s.hidden > 0) tell("Hidden    {} files and folders, which are left alone\n", s.hidden);
    tell("Classes   {}: {}\n", s.classes.size(), joined(s.classes));
    tell("Weights   {}\n", s.weights);
    tell("Device    {}, {}\n", s.device, s.precision);
}

void progress::on_start(const train::run_summary& s) {
    epochs_ = s.epochs;
    if (!s.moved_to.empty())
        tell("An earlier run in {} was moved to {}.\n", s.output.string(), s.moved_to.string());
    if (s.skipped > 0) on_warning(fmt::format("{} files are no photographs and were skipped", s.skipped));
    if (s.broken > 0)
        on_warning(fmt::format("{} photographs are broken and were left out; run.json names them", s.broken));
    if (quiet_) return;
    tell_inputs(s);
    tell("Guessing  the larger class would score an error_rate of {:.3f}\n", s.guess_error);
    if (s.resumed && s.resumed_epoch >= s.epochs)
        tell("Resuming  after the last epoch: only the model is still to be written\n");
    else if (s.resumed)
        tell("Resuming  in epoch {} of {}\n", s.resumed_epoch + 1, s.epochs);
}

void progress::on_phase(const train::training_phase& phase) {
    bar_.erase();
    if (!quiet_)
        tell("{}\n",
             phase.kind == model::phase::frozen
                 ? "Frozen: the head and the batch-norm layers train, the pretrained convolutions stay"
                 : "Unfrozen: everything trains");
    tell_result("epoch  train_loss  valid_loss  error_rate  time\n");
}

void progress::on_step(const train::step_report& step) {
    constexpr double keep = 0.9;
    images_per_second_ = step.step_in_epoch == 0 || images_per_second_ == 0
                             ? step.images_per_second
                             : keep * images_per_second_ + (1 - keep) * step.images_per_second;
    const std::string rest =
        fmt::format("{}/{}  loss {:.4f}  {:.0f} img/s  {} left", step.step_in_epoch + 1, step.steps_in_epoch,
                    step.loss, images_per_second_, clock_text(step.seconds_left));
    bar_.show(fmt::format("epoch {}/{}", step.epoch + 1, epochs_),
              static_cast<double>(step.step_in_epoch + 1) / static_cast<double>(step.steps_in_epoch), rest);
}

void progress::on_validation(std::int64_t done, std::int64_t batches) {
    bar_.show("validating", static_cast<double>(done) / static_cast<double>(batches),
              fmt::format("{}/{}", done, batches));
}

void progress::on_epoch(const train::epoch_report& e) {
    bar_.erase();
    tell_result("{:<5}  {:<10.6f}  {:<10.6f}  {:<10.6f}  {}\n", e.epoch, e.train_loss, e.validation.loss,
                e.validation.error_rate, clock_text(e.seconds));
}

void progress::on_warning(std::string_view line) {
    bar_.erase();
    tell("Warning: {}\n", line);
}

} // namespace petnet::app
