// SPDX-License-Identifier: Apache-2.0
#include "bench/operation_timer.hpp"

#include "bench/step_under_test.hpp"

#include <algorithm>

namespace petnet::bench {

double median(std::vector<double> samples) {
    std::ranges::sort(samples);
    return samples[samples.size() / 2];
}

operation_timer::operation_timer(kernels::backend& device, std::size_t workspace_bytes)
    : device_(device), workspace_(device.allocate(workspace_bytes)) {
    constexpr std::size_t count = 51;
    std::vector<double> samples;
    samples.reserve(count);
    for (std::size_t i = 0; i < count; ++i) samples.push_back(seconds_of_work([] {}));
    empty_ = median(samples);
}

double operation_timer::seconds_of_work(const std::function<void()>& work) {
    device_.wait(device_.mark());
    const double start = seconds_now();
    work();
    device_.wait(device_.mark());
    return seconds_now() - start;
}

double operation_timer::seconds_of(kernels::operation& op) {
    constexpr double enough = 3e-3;
    constexpr int most_copies = 256, rounds = 5;
    execute(op);
    const double once = seconds_of_work([&] { execute(op); });
    const auto copies = static_cast<std::size_t>(
        std::clamp(static_cast<int>(enough / std::max(once - empty_, 1e-6)), 1, most_copies));
    repeated_ = copies > 1;
    const auto sequence = device_.sequence(std::vector<kernels::operation*>(copies, &op));
    for (int i = 0; i < 2; ++i) sequence->execute(workspace_.get()); // recorded by the second at last
    std::vector<double> samples;
    samples.reserve(rounds);
    for (int i = 0; i < rounds; ++i)
        samples.push_back(seconds_of_work([&] { sequence->execute(workspace_.get()); }));
    return std::max(median(samples) - empty_, 0.0) / static_cast<double>(copies);
}

} // namespace petnet::bench
