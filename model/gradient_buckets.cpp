// SPDX-License-Identifier: Apache-2.0
#include "model/gradient_buckets.hpp"

#include <algorithm>
#include <numeric>

namespace petnet::model {

std::vector<gradient_bucket> gradient_buckets(std::span<const ready_gradient> gradients,
                                              std::size_t least_bytes) {
    std::vector<std::size_t> order(gradients.size());
    std::iota(order.begin(), order.end(), std::size_t{0});
    std::ranges::stable_sort(order, {}, [&](std::size_t i) { return gradients[i].node; });

    std::vector<gradient_bucket> buckets;
    std::size_t bytes = least_bytes; // of the last bucket: there is none yet, so it is full
    for (const std::size_t i : order) {
        if (bytes >= least_bytes) {
            buckets.emplace_back();
            bytes = 0;
        }
        buckets.back().gradients.push_back(i);
        buckets.back().after_node = gradients[i].node;
        bytes += gradients[i].bytes;
    }
    return buckets;
}

} // namespace petnet::model
