// SPDX-License-Identifier: Apache-2.0
#include "train/lr_find.hpp"

#include "train/epoch_steps.hpp"
#include "train/phase_plans.hpp"

namespace petnet::train {
namespace {

constexpr double momentum = 0.9; // fastai's Adam where no schedule sets another

} // namespace

lr_find_result find_lr(const training_setup& setup, const lr_find_hooks& hooks) {
    const std::int64_t per_epoch = steps_per_epoch(setup.split.train.size(), setup.batch_size);
    const std::unique_ptr<phase_plans> plans = make_phase_plans(
        setup.parameters, setup.network, plan_options(setup, model::phase::frozen), hooks.on_warning);
    setup.parameters.clear_moments();

    lr_find_result result;
    bool stopped = false;
    for (std::int64_t epoch = 0; !stopped && !result.curve.complete(); ++epoch) {
        const auto settings = [&](std::int64_t step_in_epoch) {
            const std::int64_t step = epoch * per_epoch + step_in_epoch;
            hyperparameters hyper{.mom = momentum};
            hyper.lr.fill(lr_of_search(step));
            return step_settings{hyper, step + 1};
        };
        const auto finish = [&](const finished_step& step) {
            if (result.curve.complete()) return; // it was under way when the curve was complete
            result.curve.add(step.hyper.lr.back(), step.loss);
            hooks.on_step(result.curve);
        };
        const auto stop_requested = [&] {
            stopped = hooks.stop_requested();
            return stopped || result.curve.complete();
        };
        static_cast<void>(run_epoch_steps(
            setup, plans->training, epoch, 0,
            {.settings = settings, .begin = [] {}, .finish = finish, .stop_requested = stop_requested}));
    }
    result.finished = !stopped;
    return result;
}

} // namespace petnet::train
