// SPDX-License-Identifier: Apache-2.0
#include "train/fine_tuner.hpp"

#include "base/errors.hpp"
#include "base/random.hpp"

#include <algorithm>
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

// The plans of a phase. Training and evaluation never run at the same time and share their memory.
struct fine_tuner::plans {
    model::plan training, evaluation;
    kernels::device_memory memory;

    plans(const fine_tuner& owner, model::phase kind)
        : training(owner.setup_.parameters, owner.setup_.network, owner.plan_options(kind)),
          evaluation(owner.setup_.parameters, owner.setup_.network,
                     owner.plan_options(model::phase::evaluation)),
          memory(owner.device_.allocate(std::max(training.memory_bytes(), evaluation.memory_bytes()))) {
        training.bind(memory.get());
        evaluation.bind(memory.get());
    }
};

fine_tuner::fine_tuner(fine_tune_setup setup, observer& listener)
    : setup_(std::move(setup)),
      listener_(listener),
      device_(setup_.parameters.device()),
      steps_per_epoch_(static_cast<std::int64_t>(data::batch_count(
          data::pass::train, setup_.split.train.size(), static_cast<std::size_t>(setup_.batch_size)))) {
    if (setup_.batch_size < 2)
        throw usage_error(
            "--batch-size must be at least 2: batch normalisation needs more than one photograph");
    if (steps_per_epoch_ == 0)
        throw usage_error("the " + std::to_string(setup_.split.train.size()) +
                          " training photographs do not fill one batch of " +
                          std::to_string(setup_.batch_size) + ": choose a smaller --batch-size");
}

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
        plans phase_plans(*this, phase.kind);
        if (position.epoch == 0 && position.step_in_epoch == 0) {
            setup_.parameters.clear_moments();
            position.train_loss = {};
        }
        listener_.on_phase(phase);
        for (run_epoch += position.epoch; position.epoch < phase.epochs; ++run_epoch) {
            const stopwatch watch;
            epoch_report report{.epoch = run_epoch, .phase = phase.kind};
            if (!train_epoch(position, phase_plans.training, run_epoch, calls, report) ||
                !validate(phase_plans.evaluation, calls, report)) {
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
    data::photo_batch batch;
    for (stopwatch step_watch; loader.next(batch); step_watch = {}) {
        const std::int64_t done = position.epoch * steps_per_epoch_ + position.step_in_epoch;
        const hyperparameters hyper = phase.at(done, phase.epochs * steps_per_epoch_);
        upload(plan, batch);
        upload_row_keys(plan, batch, run_epoch);
        device_.write(plan.settings(), std::span<const double>(adam_settings(hyper, done + 1)));
        plan.execute();
        float loss = 0;
        device_.read(plan.loss(), std::span<float>(&loss, 1));
        position.train_loss.add(static_cast<double>(loss));

        const std::int64_t in_epoch = position.step_in_epoch++;
        const double per_step = epoch_watch.seconds() / static_cast<double>(in_epoch - first_step + 1);
        listener_.on_step(
            {.step = position.step++,
             .phase = phase.kind,
             .epoch = run_epoch,
             .step_in_epoch = in_epoch,
             .steps_in_epoch = steps_per_epoch_,
             .loss = static_cast<double>(loss),
             .hyper = hyper,
             .images_per_second = static_cast<double>(batch.count) / step_watch.seconds(),
             .seconds_left = per_step * static_cast<double>(steps_per_epoch_ - position.step_in_epoch)});
        if (calls.stop_requested()) return false;
    }
    report.seconds_waited = loader.seconds_waited();
    return true;
}

bool fine_tuner::validate(model::plan& plan, const hooks& calls, epoch_report& report) {
    const stopwatch watch;
    data::loader loader(setup_.photos, setup_.labels, setup_.split.valid, data::pass::valid,
                        {.batch_size = static_cast<std::size_t>(setup_.batch_size),
                         .seed = setup_.seed,
                         .threads = setup_.loader_threads});
    const auto rows = static_cast<std::size_t>(setup_.batch_size);
    std::vector<float> row_loss(rows);
    std::vector<std::int32_t> predictions(rows);
    double loss = 0;
    std::int64_t wrong = 0, images = 0, done = 0;
    for (data::photo_batch batch; loader.next(batch);) {
        // The last batch fills the first rows; the others are black and counted nowhere.
        batch.pixels.resize(batch.pixels.size() / batch.count * rows);
        batch.labels.resize(rows);
        upload(plan, batch);
        plan.execute();
        device_.read(plan.row_loss(), std::span<float>(row_loss));
        device_.read_bytes(plan.predictions(), std::as_writable_bytes(std::span(predictions)));
        for (std::size_t i = 0; i < batch.count; ++i) {
            loss += static_cast<double>(row_loss[i]);
            wrong += predictions[i] != batch.labels[i] ? 1 : 0;
        }
        images += static_cast<std::int64_t>(batch.count);
        listener_.on_validation(++done, static_cast<std::int64_t>(loader.batches()));
        if (calls.stop_requested()) return false;
    }
    const auto count = static_cast<double>(std::max<std::int64_t>(images, 1));
    report.validation = {loss / count, static_cast<double>(wrong) / count, images};
    report.seconds_validating = watch.seconds();
    return true;
}

void fine_tuner::upload(model::plan& plan, const data::photo_batch& batch) const {
    device_.write_bytes(plan.pixels(), std::as_bytes(std::span(batch.pixels)));
    device_.write_bytes(plan.target(), std::as_bytes(std::span(batch.labels)));
}

void fine_tuner::upload_row_keys(model::plan& plan, const data::photo_batch& batch,
                                 std::int64_t run_epoch) const {
    const random_key key =
        random_key(setup_.seed).child("dropout").child(static_cast<std::uint64_t>(run_epoch));
    std::vector<std::uint64_t> keys;
    for (const std::size_t index : batch.indices)
        keys.push_back(key.child(setup_.photos.folder().photos[index].name).value());
    device_.write_bytes(plan.row_keys(), std::as_bytes(std::span(keys)));
}

} // namespace petnet::train
