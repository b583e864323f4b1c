// SPDX-License-Identifier: Apache-2.0
#include "train/fine_tuner.hpp"

#include "base/errors.hpp"
#include "data/loader.hpp"
#include "train/broken_training.hpp"
#include "train/epoch_steps.hpp"
#include "train/ranks/host_all_reduce.hpp"
#include "train/shared_validation.hpp"
#include "train/stopwatch.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <fmt/format.h>
#include <span>
#include <string>
#include <utility>

namespace petnet::train {

fine_tuner::fine_tuner(const training_setup& setup, std::vector<training_phase> phases, observer& listener)
    : setup_(setup),
      phases_(std::move(phases)),
      listener_(listener),
      device_(setup_.parameters.device()),
      steps_per_epoch_(steps_per_epoch(setup_)) {
    if (setup_.group.size() == 1) return;
    averages_ = ranks::make_all_reduce(device_, setup_.group);
    setup_.averages = averages_.get();
}

bool fine_tuner::run(training_position& position, const hooks& calls) {
    stopwatch preparing;
    if (position.phase < static_cast<std::int64_t>(phases_.size())) {
        on_device_ = make_device_photographs(setup_, phases_);
        setup_.on_device = on_device_.get();
    }
    std::int64_t run_epoch = 0;
    for (std::int64_t i = 0; i < static_cast<std::int64_t>(phases_.size()); ++i) {
        const training_phase& phase = phases_[static_cast<std::size_t>(i)];
        if (i < position.phase) {
            run_epoch += phase.epochs;
            continue;
        }
        const std::unique_ptr<phase_plans> plans = plans_of(phase.kind);
        seconds_preparing_ += preparing.seconds();
        if (position.epoch == 0 && position.step_in_epoch == 0) {
            setup_.parameters.clear_moments();
            position.train_loss = {};
        }
        listener_.on_phase(phase);
        for (run_epoch += position.epoch; position.epoch < phase.epochs; ++run_epoch) {
            const stopwatch watch;
            epoch_report report{.epoch = run_epoch, .phase = phase.kind};
            if (!train_epoch(position, plans->training, run_epoch, calls, report) ||
                !validate(plans->evaluation, calls, report)) {
                calls.checkpoint(position, checkpoint_reason::stop);
                return false;
            }
            report.train_loss = position.train_loss.value();
            report.seconds = watch.seconds();
            listener_.on_epoch(report);
            if (setup_.group.any(std::isfinite(report.validation.loss) ? 0 : 1) != 0) { // rank 0 knows it
                const std::int64_t last = (position.epoch + 1) * steps_per_epoch_ - 1;
                end_broken_training(
                    fmt::format(
                        "the validation loss is not finite after step {} (epoch {}, learning rate {:.2g})",
                        position.step - 1, run_epoch,
                        phase.at(last, phase.epochs * steps_per_epoch_).lr.back()),
                    setup_.activations);
            }
            ++position.epoch;
            position.step_in_epoch = 0;
            if (position.epoch < phase.epochs) calls.checkpoint(position, checkpoint_reason::epoch_ended);
        }
        position = {.phase = i + 1, .step = position.step};
        if (position.phase < static_cast<std::int64_t>(phases_.size()))
            calls.checkpoint(position, checkpoint_reason::epoch_ended);
        preparing = {};
    }
    return true;
}

std::unique_ptr<phase_plans> fine_tuner::plans_of(model::phase kind) {
    if (on_device_) {
        try {
            auto plans =
                std::make_unique<phase_plans>(setup_.parameters, setup_.network, plan_options(setup_, kind));
            plans->bind();
            return plans;
        } catch (const kernels::out_of_device_memory&) {
            setup_.on_device = nullptr;
            on_device_.reset();
            device_.prepare_uploads(0);
        }
    }
    return make_phase_plans(setup_.parameters, setup_.network, plan_options(setup_, kind),
                            [this](const std::string& line) { listener_.on_warning(line); });
}

bool fine_tuner::train_epoch(training_position& position, model::plan& plan, std::int64_t run_epoch,
                             const hooks& calls, epoch_report& report) {
    const training_phase& phase = phases_[static_cast<std::size_t>(position.phase)];
    const stopwatch epoch_watch;
    const std::int64_t first_step = position.step_in_epoch;
    stopwatch step_watch;
    const auto settings = [&](std::int64_t step_in_epoch) {
        const std::int64_t done = position.epoch * steps_per_epoch_ + step_in_epoch;
        return step_settings{phase.at(done, phase.epochs * steps_per_epoch_), done + 1};
    };
    const auto finish = [&](const finished_step& step) {
        position.train_loss.add(step.loss);
        ++position.step_in_epoch;
        const double per_step =
            epoch_watch.seconds() / static_cast<double>(position.step_in_epoch - first_step);
        listener_.on_step(
            {.step = position.step++,
             .phase = phase.kind,
             .epoch = run_epoch,
             .step_in_epoch = step.step_in_epoch,
             .steps_in_epoch = steps_per_epoch_,
             .loss = step.loss,
             .hyper = step.hyper,
             .images_per_second = static_cast<double>(step.images) *
                                  static_cast<double>(setup_.group.size()) / step_watch.seconds(),
             .seconds_left = per_step * static_cast<double>(steps_per_epoch_ - position.step_in_epoch)});
        step_watch = {};
    };
    const auto loss_lost = [&](const finished_step& step) {
        const std::int64_t number = position.step - position.step_in_epoch + step.step_in_epoch;
        end_broken_training(fmt::format("the loss is {} at step {} (epoch {}, learning rate {:.2g})",
                                        std::isnan(step.loss) ? "not a number" : "infinite", number,
                                        run_epoch, step.hyper.lr.back()),
                            setup_.activations);
    };
    const epoch_outcome outcome =
        run_epoch_steps(setup_, plan, run_epoch, first_step,
                        {.settings = settings,
                         .begin = [&] { listener_.on_step_begin(); },
                         .finish = finish,
                         .stop_requested = calls.stop_requested,
                         .save_due = calls.checkpoint_due,
                         .save = [&] { calls.checkpoint(position, checkpoint_reason::due); },
                         .loss_lost = loss_lost});
    report.seconds_waited = outcome.seconds_waited;
    report.pixel_bytes = outcome.pixel_bytes;
    return !outcome.stopped;
}

bool fine_tuner::validate(model::plan& plan, const hooks& calls, epoch_report& report) {
    const stopwatch watch;
    ranks::communicator& group = setup_.group;
    share_statistics(setup_);
    const shard own = shard_of(setup_.split.valid, group);
    data::loader loader(setup_.photos, setup_.labels, own.photos, data::pass::valid, loader_options(setup_));
    const auto rows = static_cast<std::size_t>(setup_.batch_size);
    const auto classes = static_cast<std::size_t>(plan.logits().desc.dims[1]);
    std::int64_t done = 0;
    std::vector<graded_photo> graded;
    struct started_batch {
        std::size_t count = 0;
        std::vector<float> row_loss, logits;
        std::vector<std::int32_t> predictions, labels;
        std::vector<std::size_t> photos;
        kernels::work_mark done = 0;
    };
    const auto finish = [&](const started_batch& batch) {
        device_.wait(batch.done);
        for (std::size_t i = 0; i < batch.count; ++i) {
            const float* const row = batch.logits.data() + i * classes;
            graded.push_back({{batch.photos[i], batch.labels[i], {row, row + classes}},
                              batch.row_loss[i],
                              batch.predictions[i] != batch.labels[i]});
        }
        listener_.on_validation(++done, static_cast<std::int64_t>(loader.batches()));
    };

    std::array<started_batch, 2> batches; // as the steps of run_epoch_steps
    for (started_batch& started : batches) {
        started.row_loss.resize(rows);
        started.predictions.resize(rows);
        started.logits.resize(rows * classes);
    }
    bool under_way = false, stopped = false;
    std::size_t current = 0;
    const std::size_t rounds = data::batch_count(data::pass::valid, own.largest, rows);
    data::photo_batch batch;
    for (std::size_t round = 0; !stopped && round < rounds; ++round) {
        if (loader.next(batch)) { // or this rank has fewer than another
            started_batch& started = batches[current];
            // The last batch fills the first rows; the others are counted nowhere.
            report.pixel_bytes += upload(setup_, plan, batch);
            plan.execute();
            started.count = batch.count;
            started.labels = batch.labels;
            started.photos = batch.indices;
            device_.read_later(plan.row_loss(), std::span<float>(started.row_loss));
            device_.read_later(plan.logits(), std::span<float>(started.logits));
            device_.read_bytes_later(plan.predictions(),
                                     std::as_writable_bytes(std::span(started.predictions)));
            started.done = device_.mark();
            if (under_way) finish(batches[current ^ 1U]);
            under_way = !device_.reached(started.done);
            if (!under_way) finish(started);
            current ^= 1U;
        }
        stopped = group.any(calls.stop_requested() ? 1 : 0) != 0;
    }
    if (under_way) finish(batches[current ^ 1U]);
    if (stopped) return false;
    graded = gathered(std::move(graded), classes, group);
    share_findings(setup_);
    report.seconds_validating = watch.seconds();
    if (!group.leads()) return true;
    if (graded.empty())
        throw input_error("every photograph to validate on is broken, the first: " + first_broken());
    double loss = 0;
    std::int64_t wrong = 0;
    std::vector<validated_photo> answers;
    for (graded_photo& photo : graded) {
        loss += static_cast<double>(photo.loss);
        wrong += photo.wrong ? 1 : 0;
        answers.push_back(std::move(photo.answer));
    }
    listener_.on_validated(answers);
    const auto count = static_cast<double>(graded.size());
    report.validation = {loss / count, static_cast<double>(wrong) / count,
                         static_cast<std::int64_t>(graded.size())};
    return true;
}

std::string fine_tuner::first_broken() const {
    const std::vector<data::broken_photo> broken = setup_.photos.broken();
    for (const std::size_t index : setup_.split.valid)
        for (const data::broken_photo& photo : broken)
            if (photo.name == setup_.photos.folder().photos[index].name) return photo.reason;
    return "none of them is there";
}

} // namespace petnet::train
