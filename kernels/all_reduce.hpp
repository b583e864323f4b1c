// SPDX-License-Identifier: Apache-2.0
// Means of tensors over several processes that each have a device of their own, in the background of the
// operations that are executed meanwhile.
#pragma once

#include "kernels/ops.hpp"

#include <cstddef>
#include <functional>
#include <memory>
#include <span>
#include <vector>

namespace petnet::kernels {

class operation;

// The processes as a device sees them.
struct process_group {
    int rank = 0, size = 1;
    // Every process calls it at the same point: the bytes of rank 0 in all of them.
    std::function<void(std::span<std::byte>)> broadcast;
};

// All processes execute the same operations in the same order, on tensors of the same layouts. Each process
// has the same bits afterwards, and the next time again.
class all_reduce {
  public:
    all_reduce() = default;
    all_reduce(const all_reduce&) = delete; // operations hold its address
    all_reduce& operator=(const all_reduce&) = delete;
    virtual ~all_reduce() = default;

    // An operation that begins to replace f32 tensors by their means over the processes, as operations before
    // it left them. Until that of finish() nothing else touches them. It outlives neither this nor them.
    [[nodiscard]] virtual std::unique_ptr<operation> begin(std::vector<tensor_view> tensors) = 0;
    // An operation after which all means that were begun are there.
    [[nodiscard]] virtual std::unique_ptr<operation> finish() = 0;
};

} // namespace petnet::kernels
