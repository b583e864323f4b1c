// SPDX-License-Identifier: Apache-2.0
#include "train/metrics_log.hpp"

#include "base/errors.hpp"

#include <nlohmann/json.hpp>
#include <utility>

namespace petnet::train {

metrics_log::metrics_log(std::filesystem::path file, std::uint64_t keep_bytes, observer& warned)
    : file_(std::move(file), keep_bytes), warned_(warned) {}

void metrics_log::line(const nlohmann::json& object) {
    if (const auto failure = file_.append(object.dump() + "\n"))
        warned_.on_warning(*failure +
                           ": the training goes on; what is missing there follows when that works again");
}

void metrics_log::finish() {
    if (const auto failure = file_.finish()) throw environment_error(*failure + ": its last lines are lost");
}

void metrics_log::on_step(const step_report& step) {
    line({{"step", step.step},
          {"phase", model::name_of(step.phase)},
          {"epoch", step.epoch},
          {"loss", step.loss},
          {"lr", step.hyper.lr},
          {"mom", step.hyper.mom},
          {"images_per_second", step.images_per_second}});
}

void metrics_log::on_epoch(const epoch_report& epoch) {
    line({{"epoch", epoch.epoch},
          {"phase", model::name_of(epoch.phase)},
          {"train_loss", epoch.train_loss},
          {"valid_loss", epoch.validation.loss},
          {"error_rate", epoch.validation.error_rate},
          {"seconds", epoch.seconds},
          {"seconds_validating", epoch.seconds_validating},
          {"seconds_waited", epoch.seconds_waited},
          {"pixel_bytes", epoch.pixel_bytes}});
}

} // namespace petnet::train
