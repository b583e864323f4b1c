// SPDX-License-Identifier: Apache-2.0
#include "bench/calibrated_clock.hpp"

#include "bench/statistics.hpp"

#include <algorithm>
#include <vector>

namespace petnet::bench {

calibrated_clock::calibrated_clock(kernels::backend& device) : watch_(make_stopwatch(device)) {
    constexpr std::size_t warm_up = 20, count = 201;
    std::vector<double> samples;
    samples.reserve(count);
    for (std::size_t i = 0; i < warm_up + count; ++i) {
        watch_->start();
        watch_->stop();
        if (i >= warm_up) samples.push_back(watch_->seconds());
    }
    empty_ = median_of(samples);
    error_ = quantile(samples, 0.9) - quantile(samples, 0.1);
}

double calibrated_clock::seconds_of(kernels::operation& work, std::byte* workspace) {
    watch_->start();
    work.execute(workspace);
    watch_->stop();
    return std::max(watch_->seconds() - empty_, 0.0);
}

} // namespace petnet::bench
