// SPDX-License-Identifier: Apache-2.0
#include "train/metrics_log.hpp"

#include "base/errors.hpp"

#include <cerrno>
#include <cstring>
#include <fcntl.h>
#include <nlohmann/json.hpp>
#include <unistd.h>
#include <utility>

namespace petnet::train {
namespace {

std::string failure(const std::filesystem::path& path, int reason) {
    return "cannot write to " + path.string() + ": " + std::strerror(reason);
}

} // namespace

metrics_log::metrics_log(std::filesystem::path file, std::uint64_t keep_bytes, observer& warned)
    : path_(std::move(file)), warned_(warned) {
    std::error_code error;
    if (std::filesystem::exists(path_, error) && std::filesystem::file_size(path_, error) > keep_bytes)
        std::filesystem::resize_file(path_, keep_bytes, error);
    descriptor_ = ::open(path_.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
    const off_t end = descriptor_ < 0 ? -1 : ::lseek(descriptor_, 0, SEEK_END);
    if (end < 0) throw environment_error(failure(path_, errno));
    written_ = static_cast<std::uint64_t>(end);
}

metrics_log::~metrics_log() {
    if (descriptor_ >= 0) ::close(descriptor_);
}

int metrics_log::write_pending() {
    while (!pending_.empty()) {
        const ssize_t count = ::write(descriptor_, pending_.data(), pending_.size());
        if (count < 0 && errno == EINTR) continue;
        if (count < 0) return errno;
        written_ += static_cast<std::uint64_t>(count);
        pending_.erase(0, static_cast<std::size_t>(count));
    }
    return 0;
}

void metrics_log::line(const nlohmann::json& object) {
    pending_ += object.dump() + "\n";
    const int reason = write_pending();
    if (reason != 0 && !failing_)
        warned_.on_warning(failure(path_, reason) +
                           ": the training goes on; what is missing there follows when that works again");
    failing_ = reason != 0;
}

void metrics_log::finish() {
    if (const int reason = write_pending(); reason != 0)
        throw environment_error(failure(path_, reason) + ": its last lines are lost");
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
