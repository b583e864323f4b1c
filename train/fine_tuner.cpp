// SPDX-License-Identifier: Apache-2.0
#include "train/fine_tuner.hpp"

#include "base/errors.hpp"
#include "base/random.hpp"
#include "train/phase_plans.hpp"

#include <algorithm>
#include <array>
#include <chrono>
#include <span>
#include <string>

namespace petnet::train {
namespace {

class stopwatch {
  public:
    [[nodiscard]] double seconds() const {
        return std::chrono::duration<double>(std::chrono::steady_clock::now() - start_).count();
    }

  private:
    std::chrono::steady_clock::time_point start_ = std::chrono::steady_clock::now();
};

} // namespace

std::int64_t steps_per_epoch(std::size_t photographs, std::int64_t batch_size) {
    if (batch_size < 2)
        throw usage_error(
            "--batch-size must be at least 2: batch normalisation needs more than one photograph");
    const std::size_t steps =
        data::batch_count(data::pass::train, photographs, static_cast<std::size_t>(batch_size));
    if (steps == 0)
        throw usage_error("the " + std::to_string(photographs) +
                          " training photographs do not fill one batch of " + std::to_string(batch_size) +
                          ": choose a smaller --batch-size");
    return static_cast<std::int64_t>(steps);
}

fine_tuner::fine_tuner(fine_tune_setup setup, observer& listener)
    : setup_(std::move(setup)),
      listener_(listener),
      device_(setup_.parameters.device()),
      steps_per_epoch_(steps_per_epoch(setup_.split.train.size(), setup_.batch_size)) {}

std::int64_t fine_tuner::epochs() const {
    std::int64_t count = 0;
    for (const training_phase& phase : setup_.phases) count += phase.epochs;
    return count;
}

model::plan_options fine_tuner::plan_options(model::phase kind) const {
    return {.kind = kind,
            .batch = setup_.batch_size,
            .height = setup_.image_size,
            .width = setup_.image_size,
            .activations = setup_.activations};
}

bool fine_tuner::run(training_position& position, const hooks& calls) {
    std::int64_t run_epoch = 0;
    for (std::int64_t i = 0; i < static_cast<std::int64_t>(setup_.phases.size()); ++i) {
        const training_phase& phase = setup_.phases[static_cast<std::size_t>(i)];
        if (i < position.phase) {
            run_epoch += phase.epochs;
            continue;
        }
        const std::unique_ptr<phase_plans> plans =
            make_phase_plans(setup_.parameters, setup_.network, plan_options(phase.kind), listener_);
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
                calls.checkpoint(position, false);
                return false;
            }
            report.train_loss = position.train_loss.value();
            report.seconds = watch.seconds();
            listener_.on_epoch(report);
            ++position.epoch;
            position.step_in_epoch = 0;
            if (position.epoch < phase.epochs) calls.checkpoint(position, true);
        }
        position = {.phase = i + 1, .step = position.step};
        if (position.phase < static_cast<std::int64_t>(setup_.phases.size()))
            calls.checkpoint(position, true);
    }
    return true;
}

bool fine_tuner::train_epoch(training_position& position, model::plan& plan, std::int64_t run_epoch,
                             const hooks& calls, epoch_report& report) {
    const training_phase& phase = setup_.phases[static_cast<std::size_t>(position.phase)];
    const auto epoch = static_cast<std::uint64_t>(run_epoch);
    data::loader loader(setup_.photos, setup_.labels,
                        data::epoch_order(setup_.split.train, setup_.seed, epoch), data::pass::train,
                        {.batch_size = static_cast<std::size_t>(setup_.batch_size),
                         .seed = setup_.seed,
                         .epoch = epoch,
                         .first_batch = static_cast<std::size_t>(position.step_in_epoch),
                         .threads = setup_.loader_threads});
    const stopwatch epoch_watch;
    const std::int64_t first_step = position.step_in_epoch;
    stopwatch step_watch;
    struct started_step {
        hyperparameters hyper;
        std::size_t images = 0;
        float loss = 0;
        kernels::work_mark done = 0;
    };
    const auto finish = [&](started_step& step) {
        device_.wait(step.done);
        position.train_loss.add(static_cast<double>(step.loss));
        const std::int64_t in_epoch = position.step_in_epoch++;
        const double per_step = epoch_watch.seconds() / static_cast<double>(in_epoch - first_step + 1);
        listener_.on_step(
            {.step = position.step++,
             .phase = phase.kind,
             .epoch = run_epoch,
             .step_in_epoch = in_epoch,
             .steps_in_epoch = steps_per_epoch_,
             .loss = static_cast<double>(step.loss),
             .hyper = step.hyper,
             .images_per_second = static_cast<double>(step.images) / step_watch.seconds(),
             .seconds_left = per_step * static_cast<double>(steps_per_epoch_ - position.step_in_epoch)});
        step_watch = {};
    };

    // A device works on one step while the next is prepared for it. Which step is which is a matter of place:
    // reads in flight hold the address of their started_step.
    std::array<started_step, 2> steps;
    bool under_way = false, stopped = false;
    std::size_t current = 0;
    data::photo_batch batch;
    for (std::int64_t started = first_step; !stopped && loader.next(batch); ++started, current ^= 1U) {
        listener_.on_step_begin();
        started_step& step = steps[current];
        const std::int64_t done = position.epoch * steps_per_epoch_ + started;
        step.hyper = phase.at(done, phase.epochs * steps_per_epoch_);
        step.images = batch.count;
        upload(plan, batch);
        upload_row_keys(plan, batch, run_epoch);
        device_.upload(plan.settings(), adam_settings(step.hyper, done + 1));
        plan.execute();
        device_.read_later(plan.loss(), std::span<float>(&step.loss, 1));
        step.done = device_.mark();
        if (under_way) finish(steps[current ^ 1U]);
        under_way = !device_.reached(step.done);
        if (!under_way) finish(step);
        stopped = calls.stop_requested();
    }
    if (under_way) finish(steps[current ^ 1U]);
    report.seconds_waited = loader.seconds_waited();
    return !stopped;
}

bool fine_tuner::validate(model::plan& plan, const hooks& calls, epoch_report& report) {
    const stopwatch watch;
    data::loader loader(setup_.photos, setup_.labels, setup_.split.valid, data::pass::valid,
                        {.batch_size = static_cast<std::size_t>(setup_.batch_size),
                         .seed = setup_.seed,
                         .threads = setup_.loader_threads});
    const auto rows = static_cast<std::size_t>(setup_.batch_size);
    double loss = 0;
    std::int64_t wrong = 0, images = 0, done = 0;
    struct started_batch {
        std::size_t count = 0;
        std::vector<float> row_loss;
        std::vector<std::int32_t> predictions, labels;
        kernels::work_mark done = 0;
    };
    const auto finish = [&](const started_batch& batch) {
        device_.wait(batch.done);
        for (std::size_t i = 0; i < batch.count; ++i) {
            loss += static_cast<double>(batch.row_loss[i]);
            wrong += batch.predictions[i] != batch.labels[i] ? 1 : 0;
        }
        images += static_cast<std::int64_t>(batch.count);
        listener_.on_validation(++done, static_cast<std::int64_t>(loader.batches()));
    };

    std::array<started_batch, 2> batches; // as the steps of train_epoch
    for (started_batch& started : batches) started.row_loss.resize(rows), started.predictions.resize(rows);
    bool under_way = false, stopped = false;
    std::size_t current = 0;
    for (data::photo_batch batch; !stopped && loader.next(batch); current ^= 1U) {
        started_batch& started = batches[current];
        // The last batch fills the first rows; the others are black and counted nowhere.
        batch.pixels.resize(batch.pixels.size() / batch.count * rows);
        batch.labels.resize(rows);
        upload(plan, batch);
        plan.execute();
        started.count = batch.count;
        started.labels = batch.labels;
        device_.read_later(plan.row_loss(), std::span<float>(started.row_loss));
        device_.read_bytes_later(plan.predictions(), std::as_writable_bytes(std::span(started.predictions)));
        started.done = device_.mark();
        if (under_way) finish(batches[current ^ 1U]);
        under_way = !device_.reached(started.done);
        if (!under_way) finish(started);
        stopped = calls.stop_requested();
    }
    if (under_way) finish(batches[current ^ 1U]);
    if (stopped) return false;
    if (images == 0)
        throw input_error("every photograph to validate on is broken, the first: " + first_broken());
    const auto count = static_cast<double>(images);
    report.validation = {loss / count, static_cast<double>(wrong) / count, images};
    report.seconds_validating = watch.seconds();
    return true;
}

std::string fine_tuner::first_broken() const {
    const std::vector<data::broken_photo> broken = setup_.photos.broken();
    for (const std::size_t index : setup_.split.valid)
        for (const data::broken_photo& photo : broken)
            if (photo.name == setup_.photos.folder().photos[index].name) return photo.reason;
    return "none of them is there";
}

void fine_tuner::upload(model::plan& plan, const data::photo_batch& batch) const {
    device_.upload_bytes(plan.pixels(), std::as_bytes(std::span(batch.pixels)));
    device_.upload_bytes(plan.target(), std::as_bytes(std::span(batch.labels)));
}

void fine_tuner::upload_row_keys(model::plan& plan, const data::photo_batch& batch,
                                 std::int64_t run_epoch) const {
    const random_key key =
        random_key(setup_.seed).child("dropout").child(static_cast<std::uint64_t>(run_epoch));
    std::vector<std::uint64_t> keys;
    for (const std::size_t index : batch.indices)
        keys.push_back(key.child(setup_.photos.folder().photos[index].name).value());
    device_.upload_bytes(plan.row_keys(), std::as_bytes(std::span(keys)));
}

} // namespace petnet::train
