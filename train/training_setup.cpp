// SPDX-License-Identifier: Apache-2.0
#include "train/training_setup.hpp"

#include "base/errors.hpp"
#include "train/device_photographs.hpp"

#include <algorithm>
#include <string>

namespace petnet::train {

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

std::int64_t steps_per_epoch(const training_setup& setup) {
    return steps_per_epoch(setup.split.train.size(), setup.batch_size * setup.group.size());
}

std::int64_t batch_of_rank(std::int64_t batch_size, int ranks) {
    if (batch_size % ranks == 0 && batch_size / ranks >= (ranks == 1 ? 1 : 2)) return batch_size / ranks;
    throw usage_error("--batch-size " + std::to_string(batch_size) + " is for all " + std::to_string(ranks) +
                      " ranks together, which take equal parts of at least 2: choose " +
                      std::to_string(std::max<std::int64_t>(batch_size / ranks, 2) * ranks));
}

model::plan_options plan_options(const training_setup& setup, model::phase kind) {
    model::plan_options options{
        .kind = kind,
        .batch = setup.batch_size,
        .height = setup.image_size,
        .width = setup.image_size,
        .activations = setup.activations,
        .photo_size = setup.augment ? static_cast<std::int64_t>(setup.photos.options().image_size) : 0,
        .averages = setup.averages};
    if (setup.on_device != nullptr) {
        options.photo_store = setup.on_device->store();
        options.cut_tables = setup.on_device->tables();
    }
    return options;
}

data::loader_options loader_options(const training_setup& setup) {
    data::loader_options options{.batch_size = static_cast<std::size_t>(setup.batch_size),
                                 .seed = setup.seed,
                                 .threads = setup.loader_threads};
    if (setup.on_device != nullptr)
        options.form_of = [on_device = setup.on_device](std::size_t index) {
            return on_device->form_of(index);
        };
    return options;
}

} // namespace petnet::train
