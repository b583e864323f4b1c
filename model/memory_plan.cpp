// SPDX-License-Identifier: Apache-2.0
#include "model/memory_plan.hpp"

#include "kernels/backend.hpp"

#include <algorithm>
#include <limits>
#include <numeric>

namespace petnet::model {

memory_plan place_by_size(const std::vector<lifetime>& tensors) {
    const auto aligned = [](std::size_t bytes) {
        return (bytes + kernels::memory_alignment - 1) / kernels::memory_alignment *
               kernels::memory_alignment;
    };
    std::vector<std::size_t> order(tensors.size());
    std::iota(order.begin(), order.end(), std::size_t{0});
    std::ranges::stable_sort(order, std::ranges::greater{}, [&](std::size_t i) { return tensors[i].bytes; });

    memory_plan plan{std::vector<std::size_t>(tensors.size()), 0};
    std::vector<std::size_t> placed; // indices, by rising offset
    for (const std::size_t i : order) {
        const lifetime& tensor = tensors[i];
        const std::size_t size = aligned(tensor.bytes);
        std::size_t best = 0, best_gap = std::numeric_limits<std::size_t>::max(), end = 0;
        for (const std::size_t j : placed) {
            const lifetime& other = tensors[j];
            if (other.last < tensor.first || tensor.last < other.first) continue;
            const std::size_t offset = plan.offsets[j];
            if (offset >= end && offset - end >= size && offset - end < best_gap) {
                best = end;
                best_gap = offset - end;
            }
            end = std::max(end, offset + aligned(other.bytes));
        }
        plan.offsets[i] = best_gap == std::numeric_limits<std::size_t>::max() ? end : best;
        plan.total_bytes = std::max(plan.total_bytes, plan.offsets[i] + size);
        placed.insert(std::ranges::upper_bound(placed, plan.offsets[i], {},
                                               [&](std::size_t j) { return plan.offsets[j]; }),
                      i);
    }
    return plan;
}

} // namespace petnet::model
