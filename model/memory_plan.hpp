// SPDX-License-Identifier: Apache-2.0
// Places for tensors whose lifetimes are known, in one block of memory.
#pragma once

#include <cstddef>
#include <vector>

namespace petnet::model {

// A tensor that is in use from operation `first` to operation `last`, both included.
struct lifetime {
    std::size_t bytes = 0, first = 0, last = 0;
};

struct memory_plan {
    std::vector<std::size_t> offsets; // one for each lifetime, aligned to kernels::memory_alignment
    std::size_t total_bytes = 0;
};

// No two tensors in use at the same time overlap. Greedy by size (Pisarchyk, Lee 2020: "Efficient memory
// management for deep neural net inference"): the largest first, each into the tightest gap that its
// neighbours in time leave. Deterministic.
[[nodiscard]] memory_plan place_by_size(const std::vector<lifetime>& tensors);

} // namespace petnet::model
