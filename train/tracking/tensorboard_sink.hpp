// SPDX-License-Identifier: Apache-2.0
// Event files for TensorBoard.
#pragma once

#include "base/append_file.hpp"
#include "train/tracking/sink.hpp"

#include <filesystem>
#include <optional>
#include <string>
#include <vector>

namespace petnet::tracking {

class tensorboard_sink final : public sink {
  public:
    // Begins a file of its own in `folder`, which is made: events.out.tfevents.TIME.HOST.PROCESS. Where that
    // cannot be written, that is a warning.
    explicit tensorboard_sink(std::filesystem::path folder);

    void start(const run_start& run) override;
    void step(const report& done) override;
    void epoch(const report& done) override;
    void keep(const artifact& /*result*/) override {}
    void end(ending how, const std::function<bool()>& hurry) override;
    [[nodiscard]] std::vector<std::string> take_warnings() override;

  private:
    void append(const std::string& record);
    void scalars(const report& done);

    std::filesystem::path folder_;
    std::optional<append_file> file_;
    std::vector<std::string> warnings_;
    bool warned_ = false;
};

} // namespace petnet::tracking
