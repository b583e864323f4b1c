// SPDX-License-Identifier: Apache-2.0
// The plans of a phase on the device, within its memory.
#pragma once

#include "model/plan.hpp"

#include <functional>
#include <memory>
#include <string>

namespace petnet::train {

// Training and evaluation never run at the same time and share their memory.
class phase_plans {
  public:
    // `options` are those of training. Takes the memory for tensors; no operation is prepared yet.
    phase_plans(model::parameters& parameters, const model::network& network,
                const model::plan_options& options);
    void bind();

    model::plan training, evaluation;
    [[nodiscard]] std::size_t memory_bytes() const;

  private:
    kernels::device_memory memory_;
};

// Ready to run. Where the device has not the memory for both, operations take less workspace, with a warning;
// where that is not enough, environment_error says which batch would fit.
[[nodiscard]] std::unique_ptr<phase_plans>
make_phase_plans(model::parameters& parameters, const model::network& network,
                 const model::plan_options& options, const std::function<void(const std::string&)>& warn);

} // namespace petnet::train
