// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cmath>
#include <cstdint>

namespace petnet::train {

// fastai's AvgSmoothLoss: exponential average with beta .98, divided by 1 - beta^n to undo the start from 0.
struct smoothed_loss {
    double average = 0;
    std::int64_t count = 0;

    void add(double loss) {
        average = beta * average + (1 - beta) * loss;
        ++count;
    }
    [[nodiscard]] double value() const {
        return count == 0 ? 0 : average / (1 - std::pow(beta, static_cast<double>(count)));
    }

    static constexpr double beta = 0.98;
};

// Means over images.
struct validation_metrics {
    double loss = 0, error_rate = 0;
    std::int64_t images = 0;
};

} // namespace petnet::train
