// SPDX-License-Identifier: Apache-2.0
// A device's clock that knows what starting and stopping it takes.
#pragma once

#include "kernels/backend.hpp"
#include "kernels/timing.hpp"

#include <cstddef>
#include <memory>

namespace petnet::bench {

class calibrated_clock {
  public:
    // The device outlives it.
    explicit calibrated_clock(kernels::backend& device);

    // Of one execution, without what the clock takes.
    [[nodiscard]] double seconds_of(kernels::operation& work, std::byte* workspace);

    // Seconds between a start and a stop with nothing between them, and by how much they vary (from their
    // tenth to their ninth of ten), which no time is better known than.
    [[nodiscard]] double empty_seconds() const { return empty_; }
    [[nodiscard]] double error() const { return error_; }

  private:
    std::unique_ptr<kernels::stopwatch> watch_;
    double empty_ = 0, error_ = 0;
};

} // namespace petnet::bench
