// SPDX-License-Identifier: Apache-2.0
#include "base/random.hpp"

#include <cmath>
#include <numbers>
#include <numeric>
#include <utility>

namespace petnet {

double random_key::normal(std::uint64_t index) const noexcept {
    const double u = 1.0 - uniform(2 * index); // (0, 1]: its logarithm is finite
    return std::sqrt(-2.0 * std::log(u)) * std::cos(2.0 * std::numbers::pi * uniform(2 * index + 1));
}

std::vector<std::size_t> random_permutation(std::size_t count, random_key key) {
    std::vector<std::size_t> order(count);
    std::iota(order.begin(), order.end(), std::size_t{0});
    for (std::size_t i = count; i > 1; --i) {
        // The bias of the product's high half is below i / 2^53: nothing at these sizes.
        const auto j = static_cast<std::size_t>(key.uniform(i) * static_cast<double>(i));
        std::swap(order[i - 1], order[j]);
    }
    return order;
}

} // namespace petnet
