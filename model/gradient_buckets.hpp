// SPDX-License-Identifier: Apache-2.0
// Which gradients are averaged over processes together, and when.
#pragma once

#include <cstddef>
#include <span>
#include <vector>

namespace petnet::model {

// A tensor that the backward pass leaves behind.
struct ready_gradient {
    std::size_t node = 0; // of the plan that writes it
    std::size_t bytes = 0;
};

struct gradient_bucket {
    std::size_t after_node = 0;         // all of it is there when this one is done
    std::vector<std::size_t> gradients; // indices, in the order in which they become ready
};

// In the order in which they become ready (reverse order of layers), each bucket is closed by the gradient
// that brings it to `least_bytes`; the last one holds what is left. So averaging begins while most of the
// backward pass is still to come, and in pieces that are worth a message.
[[nodiscard]] std::vector<gradient_bucket> gradient_buckets(std::span<const ready_gradient> gradients,
                                                            std::size_t least_bytes);

} // namespace petnet::model
