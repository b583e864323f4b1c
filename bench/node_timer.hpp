// SPDX-License-Identifier: Apache-2.0
// The operations of a plan, timed where they are: an operation finds its inputs as the step leaves them.
#pragma once

#include "bench/calibrated_clock.hpp"
#include "model/plan.hpp"

#include <cstddef>
#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace petnet::bench {

class node_timer {
  public:
    // Of a plan that is bound, with inputs that are written; both outlive this.
    node_timer(kernels::backend& device, const model::plan& plan);

    // Executes the operations before this one, so that it is the next: those in between, or all of them from
    // the first on.
    void move_to(std::size_t node);

    // Executes it once and judges the results (verification.hpp).
    [[nodiscard]] std::optional<std::string> verify();

    // Seconds of one execution. Hot: its tensors lie in the caches as far as they fit, as when the operation
    // before has just written them; several in a row, so that starting and stopping the clock does not count,
    // where it leaves its inputs as they were. Cold: no cache holds any of them.
    [[nodiscard]] double hot();
    [[nodiscard]] double cold();

    [[nodiscard]] const calibrated_clock& clock() const { return clock_; }

  private:
    // Memory that the operation reads and then overwrites: put back before each execution.
    struct overwritten {
        kernels::tensor_view memory; // as bytes
        std::vector<std::byte> content;
    };

    void execute() { current().prepared->execute(workspace_.get()); }
    [[nodiscard]] const model::plan::node& current() const { return plan_.nodes()[at_]; }
    [[nodiscard]] double seconds_of(kernels::operation& work) {
        return clock_.seconds_of(work, workspace_.get());
    }
    void calibrate();
    void put_back();

    kernels::backend& device_;
    const model::plan& plan_;
    kernels::device_memory workspace_;
    calibrated_clock clock_;

    std::size_t at_ = 0;    // the next operation
    bool executed_ = false; // the next operation was, and can be again
    std::vector<overwritten> overwritten_;
    std::unique_ptr<kernels::operation> copies_; // of the next operation
    std::size_t copy_count_ = 0;
};

} // namespace petnet::bench
