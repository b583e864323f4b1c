// SPDX-License-Identifier: Apache-2.0
// The chosen plans on disk. Times differ from run to run, and the plan that they choose decides the last bits
// of results: what was chosen once on a machine is kept, so that the same seed gives the same bits again.
//
// One small text file a problem, named by a hash of its key. Files may be anything: one that is not as
// expected counts as absent, and is replaced.
#pragma once

#include <filesystem>
#include <functional>
#include <optional>
#include <string>

namespace petnet::kernels::cuda {

class plan_cache {
  public:
    // `surroundings`: all that a choice depends on beside the problem (device, versions, limits), in one
    // line. The folder is made where it is missing; an empty path remembers nothing. `on_warning`, if there,
    // is called once, when a folder that was given cannot be written.
    plan_cache(std::filesystem::path folder, std::string surroundings,
               std::function<void(const std::string&)> on_warning);

    // Whether remember() may succeed.
    [[nodiscard]] bool can_remember() const noexcept { return can_remember_; }

    // The plan chosen for the problem (one line), if it is known.
    [[nodiscard]] std::optional<std::string> find(const std::string& problem) const;

    // Of several processes that choose at the same time, the first one's choice counts: the plan to use is
    // the one returned. Absent where nothing could be written: then the choice must not depend on time.
    [[nodiscard]] std::optional<std::string> remember(const std::string& problem, const std::string& plan);

    // For a plan that cuDNN turns out not to have.
    void forget(const std::string& problem);

  private:
    [[nodiscard]] std::filesystem::path file_of(const std::string& problem) const;
    void warn(const std::string& reason);

    std::filesystem::path folder_;
    std::string surroundings_;
    std::function<void(const std::string&)> on_warning_;
    bool can_remember_ = false;
};

} // namespace petnet::kernels::cuda
