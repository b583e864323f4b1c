// SPDX-License-Identifier: Apache-2.0
#include "train/epoch_steps.hpp"

#include "base/random.hpp"
#include "data/augment.hpp"
#include "train/device_photographs.hpp"

#include <array>
#include <cmath>
#include <optional>
#include <span>
#include <utility>
#include <vector>

namespace petnet::train {
namespace {

// What a rank asks of all of them after a step. Ranks share the loss of a step, but one may see it earlier
// than another.
constexpr std::uint32_t stop_wish = 1, save_wish = 2, loss_is_lost = 4;

// Those of dropout.
void upload_row_keys(const training_setup& setup, const model::plan& plan, const data::photo_batch& batch,
                     std::int64_t run_epoch) {
    const random_key key =
        random_key(setup.seed).child("dropout").child(static_cast<std::uint64_t>(run_epoch));
    std::vector<std::uint64_t> keys;
    for (const std::size_t index : batch.indices)
        keys.push_back(key.child(setup.photos.folder().photos[index].name).value());
    setup.parameters.device().upload_bytes(plan.row_keys(), std::as_bytes(std::span(keys)));
}

void upload_transforms(const training_setup& setup, const model::plan& plan, const data::photo_batch& batch,
                       std::int64_t run_epoch) {
    static_assert(std::tuple_size_v<data::photo_transform> == kernels::photo_transform_columns);
    std::vector<double> rows;
    for (const std::size_t index : batch.indices) {
        const data::photo_transform row = data::transform_of(data::draw_augmentation(
            setup.seed, static_cast<std::uint64_t>(run_epoch), setup.photos.folder().photos[index].name));
        rows.insert(rows.end(), row.begin(), row.end());
    }
    setup.parameters.device().upload(plan.transforms(), rows);
}

} // namespace

std::size_t upload(const training_setup& setup, const model::plan& plan, data::photo_batch& batch) {
    kernels::backend& device = setup.parameters.device();
    const auto rows = static_cast<std::size_t>(setup.batch_size);
    batch.labels.resize(rows);
    device.upload_bytes(plan.target(), std::as_bytes(std::span(batch.labels)));
    if (setup.on_device != nullptr) return setup.on_device->upload(plan, batch);
    const std::size_t pixel_bytes = batch.pixels.size();
    batch.pixels.resize(pixel_bytes / batch.count * rows);
    device.upload_bytes(plan.pixels(), std::as_bytes(std::span(batch.pixels)));
    return pixel_bytes;
}

epoch_outcome run_epoch_steps(const training_setup& setup, model::plan& plan, std::int64_t run_epoch,
                              std::int64_t first_step, const step_hooks& hooks) {
    kernels::backend& device = setup.parameters.device();
    data::loader_options loading = loader_options(setup);
    loading.epoch = static_cast<std::uint64_t>(run_epoch);
    loading.first_batch = static_cast<std::size_t>(first_step);
    loading.loaders = static_cast<std::size_t>(setup.group.size());
    loading.turn = static_cast<std::size_t>(setup.group.rank());
    data::loader loader(setup.photos, setup.labels,
                        data::epoch_order(setup.split.train, setup.seed, loading.epoch), data::pass::train,
                        loading);
    struct started_step {
        finished_step result;
        float loss = 0;
        kernels::work_mark done = 0;
    };
    std::optional<finished_step> lost; // the first whose loss is not finite
    const auto finish = [&](started_step& step) {
        device.wait(step.done);
        step.result.loss = static_cast<double>(step.loss);
        hooks.finish(step.result);
        if (!lost && !std::isfinite(step.result.loss)) lost = step.result;
    };
    const auto require_loss = [&] {
        if (lost && hooks.loss_lost) hooks.loss_lost(*lost);
    };

    // Which step is which is a matter of place: reads in flight hold the address of their started_step.
    std::array<started_step, 2> steps;
    bool under_way = false, stopped = false;
    std::size_t current = 0, pixel_bytes = 0;
    data::photo_batch batch;
    for (std::int64_t started = first_step; !stopped && loader.next(batch); ++started, current ^= 1U) {
        hooks.begin();
        started_step& step = steps[current];
        const step_settings settings = hooks.settings(started);
        step.result = {.step_in_epoch = started, .hyper = settings.hyper, .images = batch.count};
        pixel_bytes += upload(setup, plan, batch);
        upload_row_keys(setup, plan, batch, run_epoch);
        if (setup.augment) upload_transforms(setup, plan, batch, run_epoch);
        device.upload(plan.settings(), adam_settings(settings.hyper, settings.update));
        plan.execute();
        device.read_later(plan.loss(), std::span<float>(&step.loss, 1));
        step.done = device.mark();
        if (under_way) finish(steps[current ^ 1U]);
        under_way = !device.reached(step.done);
        if (!under_way) finish(step);
        std::uint32_t wishes = hooks.stop_requested() ? stop_wish : 0;
        if (wishes == 0 && hooks.save_due && hooks.save_due()) wishes = save_wish;
        if (lost && hooks.loss_lost) wishes |= loss_is_lost;
        wishes = setup.group.any(wishes);
        stopped = (wishes & stop_wish) != 0;
        if (!stopped && wishes != 0) {
            if (std::exchange(under_way, false)) finish(step);
            require_loss();
            if ((wishes & save_wish) != 0) hooks.save();
        }
    }
    if (under_way) finish(steps[current ^ 1U]);
    require_loss();
    return {stopped, loader.seconds_waited(), pixel_bytes};
}

} // namespace petnet::train
