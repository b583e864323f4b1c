// SPDX-License-Identifier: Apache-2.0
#include "train/training_setup.hpp"

#include "base/errors.hpp"
#include "data/loader.hpp"

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

model::plan_options plan_options(const training_setup& setup, model::phase kind) {
    return {.kind = kind,
            .batch = setup.batch_size,
            .height = setup.image_size,
            .width = setup.image_size,
            .activations = setup.activations,
            .photo_size = setup.augment ? static_cast<std::int64_t>(setup.photos.options().image_size) : 0};
}

kernels::device_memory bind_together(const training_setup& setup, std::initializer_list<model::plan*> plans) {
    std::size_t bytes = 0;
    for (const model::plan* plan : plans) bytes = std::max(bytes, plan->memory_bytes());
    try {
        kernels::device_memory memory = setup.parameters.device().allocate(bytes);
        for (model::plan* plan : plans) plan->bind(memory.get());
        return memory;
    } catch (const kernels::out_of_device_memory& e) {
        // A plan's memory grows with its photographs.
        const auto batch = static_cast<double>(setup.batch_size);
        const auto fits = static_cast<std::int64_t>(batch * 0.9 * static_cast<double>(e.free()) /
                                                    static_cast<double>(e.needed()));
        throw environment_error(std::string(e.what()) + " for batches of " +
                                std::to_string(setup.batch_size) + " photographs: " +
                                (fits >= 2 ? "try --batch-size " + std::to_string(fits)
                                           : "free some of it, or use --device cpu"));
    }
}

} // namespace petnet::train
