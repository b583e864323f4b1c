// SPDX-License-Identifier: Apache-2.0
#include "kernels/cuda/device_clock.hpp"

#include "base/errors.hpp"

#include <algorithm>
#include <cmath>
#include <limits>

namespace petnet::kernels::cuda {
namespace {

// Shorter ones are repeated, up to so often: the clock ticks every half a microsecond.
constexpr double long_enough = 0.2; // milliseconds
constexpr int most_runs = 20;

} // namespace

device_clock::device_clock(cudaStream_t on_stream)
    : stream_(on_stream), begin_(make_timing_event()), end_(make_timing_event()) {}

double device_clock::milliseconds(const std::function<void()>& run) {
    constexpr double never = std::numeric_limits<double>::infinity();
    const double one = elapsed(run, 1);
    if (one >= long_enough) return one; // or infinity
    const double runs = std::ceil(long_enough / std::max(one, long_enough / most_runs));
    const double several = elapsed(run, static_cast<int>(runs));
    return std::isfinite(several) ? several / runs : never;
}

double device_clock::elapsed(const std::function<void()>& run, int times) {
    constexpr const char* doing = "timing a convolution";
    check(cudaEventRecord(begin_.get(), stream_), doing);
    try {
        for (int i = 0; i < times; ++i) run();
    } catch (const environment_error&) {
        return std::numeric_limits<double>::infinity();
    }
    check(cudaEventRecord(end_.get(), stream_), doing);
    check(cudaEventSynchronize(end_.get()), doing);
    float milliseconds = 0;
    check(cudaEventElapsedTime(&milliseconds, begin_.get(), end_.get()), doing);
    return static_cast<double>(milliseconds);
}

} // namespace petnet::kernels::cuda
