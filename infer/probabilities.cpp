// SPDX-License-Identifier: Apache-2.0
#include "infer/probabilities.hpp"

#include <algorithm>
#include <cmath>

namespace petnet::infer {

std::vector<double> probabilities_of(std::span<const float> logits) {
    const double maximum = static_cast<double>(*std::ranges::max_element(logits));
    std::vector<double> values;
    double sum = 0;
    for (const float logit : logits) {
        values.push_back(std::exp(static_cast<double>(logit) - maximum));
        sum += values.back();
    }
    for (double& value : values) value /= sum;
    return values;
}

std::size_t label_of(std::span<const float> logits) {
    return static_cast<std::size_t>(std::ranges::max_element(logits) - logits.begin());
}

} // namespace petnet::infer
