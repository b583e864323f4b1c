// SPDX-License-Identifier: Apache-2.0
#include "train/phase_plans.hpp"

#include "base/errors.hpp"

#include <algorithm>
#include <string>

namespace petnet::train {
namespace {

model::plan_options evaluating(model::plan_options options) {
    options.kind = model::phase::evaluation;
    return options;
}

// Says which batch would fit where this one does not: a plan's memory grows with its photographs.
[[noreturn]] void refuse(const kernels::out_of_device_memory& e, std::int64_t batch_size) {
    const auto fits =
        static_cast<std::int64_t>(static_cast<double>(batch_size) * 0.9 * static_cast<double>(e.free()) /
                                  static_cast<double>(e.needed()));
    throw environment_error(
        std::string(e.what()) + " for batches of " + std::to_string(batch_size) + " photographs: " +
        (fits >= 2 ? "try --batch-size " + std::to_string(fits) : "free some of it, or use --device cpu"));
}

} // namespace

phase_plans::phase_plans(model::parameters& parameters, const model::network& network,
                         const model::plan_options& options)
    : training(parameters, network, options),
      evaluation(parameters, network, evaluating(options)),
      memory_(parameters.device().allocate(memory_bytes())) {}

std::size_t phase_plans::memory_bytes() const {
    return std::max(training.memory_bytes(), evaluation.memory_bytes());
}

void phase_plans::bind() {
    training.bind(memory_.get());
    evaluation.bind(memory_.get());
}

std::unique_ptr<phase_plans> make_phase_plans(model::parameters& parameters, const model::network& network,
                                              const model::plan_options& options,
                                              const std::function<void(const std::string&)>& warn) {
    kernels::backend& device = parameters.device();
    while (true) {
        std::unique_ptr<phase_plans> plans;
        try {
            plans = std::make_unique<phase_plans>(parameters, network, options);
            plans->bind();
            return plans;
        } catch (const kernels::out_of_device_memory& e) {
            if (!plans) refuse(e, options.batch); // not even the tensors
            if (device.reduce_workspaces()) {
                warn(std::string(e.what()) +
                     " for the workspace of convolutions: trying again with less of it");
                continue;
            }
            const std::size_t tensors = plans->memory_bytes();
            refuse({tensors + e.needed(), tensors + e.free(), device.device()}, options.batch);
        }
    }
}

} // namespace petnet::train
