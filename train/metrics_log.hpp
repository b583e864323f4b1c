// SPDX-License-Identifier: Apache-2.0
// metrics.jsonl: one object a step and one an epoch, as interface.md lists them.
#pragma once

#include "base/append_file.hpp"
#include "train/observer.hpp"

#include <cstdint>
#include <filesystem>
#include <nlohmann/json_fwd.hpp>

namespace petnet::train {

class metrics_log final : public observer {
  public:
    // Keeps the first `keep_bytes` of an existing file: what a resumed run's checkpoint knew.
    // environment_error where it cannot be opened. What later cannot be written is kept in memory and tried
    // again with each line, and `warned` is told so once: a full disk must not end a training.
    metrics_log(std::filesystem::path file, std::uint64_t keep_bytes, observer& warned);

    void on_step(const step_report& step) override;
    void on_epoch(const epoch_report& epoch) override;

    // Of all lines so far, those that wait to be written included.
    [[nodiscard]] std::uint64_t bytes() const { return file_.bytes(); }
    // environment_error where lines still cannot be written.
    void finish();

  private:
    void line(const nlohmann::json& object);

    append_file file_;
    observer& warned_;
};

} // namespace petnet::train
