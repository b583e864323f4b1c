// SPDX-License-Identifier: Apache-2.0
// The time of one operation alone: a sequence of N copies of it (on a GPU recorded once and replayed, so that
// the host's launches do not count) between two marks, less the time of two marks with nothing between them,
// divided by N.
#pragma once

#include "kernels/backend.hpp"

#include <cstddef>
#include <functional>
#include <vector>

namespace petnet::bench {

[[nodiscard]] double median(std::vector<double> samples);

class operation_timer {
  public:
    // The device outlives the timer. workspace_bytes: enough for every operation that will be timed.
    operation_timer(kernels::backend& device, std::size_t workspace_bytes);

    void execute(kernels::operation& op) { op.execute(workspace_.get()); }
    // Of one execution; it is executed at least twice.
    [[nodiscard]] double seconds_of(kernels::operation& op);
    // Whether copies of the last one ran in a row: one that works on its own results has changed them.
    [[nodiscard]] bool repeated() const { return repeated_; }
    // Of two marks with nothing between them.
    [[nodiscard]] double empty() const { return empty_; }

  private:
    [[nodiscard]] double seconds_of_work(const std::function<void()>& work);

    kernels::backend& device_;
    kernels::device_memory workspace_;
    double empty_ = 0;
    bool repeated_ = false;
};

} // namespace petnet::bench
