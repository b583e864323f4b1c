// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "kernels/backend.hpp"

#include <cstddef>
#include <memory>
#include <utility>

namespace petnet::kernels {

template <class Run> class function_operation final : public operation {
  public:
    function_operation(std::size_t workspace_bytes, Run run)
        : workspace_bytes_(workspace_bytes), run_(std::move(run)) {}
    [[nodiscard]] std::size_t workspace_bytes() const override { return workspace_bytes_; }
    void execute(std::byte* workspace) override { run_(workspace); }

  private:
    std::size_t workspace_bytes_;
    Run run_;
};

// An operation from a function of its workspace.
template <class Run>
[[nodiscard]] std::unique_ptr<operation> make_operation(std::size_t workspace_bytes, Run run) {
    return std::make_unique<function_operation<Run>>(workspace_bytes, std::move(run));
}

} // namespace petnet::kernels
