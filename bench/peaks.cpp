// SPDX-License-Identifier: Apache-2.0
#include "bench/peaks.hpp"

#include "bench/gpu_facts.hpp"
#include "bench/statistics.hpp"
#include "bench/step_under_test.hpp"
#include "kernels/cost.hpp"
#include "kernels/timing.hpp"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <span>
#include <thread>
#include <vector>

namespace petnet::bench {
namespace {

using namespace kernels;

// GFLOP/s of a matrix product (pixels, channels) * (channels, channels), written as what every backend has in
// every precision: a 1x1 convolution.
double gemm_gflop_per_s(backend& device, dtype type, std::int64_t images, std::int64_t channels) {
    constexpr std::int64_t side = 16;
    const convolution_shape shape{images, channels, side, side, channels, 1, 1, 0};
    const tensor_desc x = device.activation(type, shape.x()), y = device.activation(type, shape.y());
    const tensor_desc w = device.convolution_weights(shape, type);
    const device_memory x_memory = device.allocate(device.storage_bytes(x)),
                        w_memory = device.allocate(device.storage_bytes(w)),
                        y_memory = device.allocate(device.storage_bytes(y));
    const convolution_forward op{shape, {x, x_memory.get()}, {w, w_memory.get()}, {y, y_memory.get()}};
    std::vector<float> values(static_cast<std::size_t>(x.dims.elements()));
    for (std::size_t i = 0; i < values.size(); ++i) values[i] = static_cast<float>(i % 251) / 125 - 1;
    device.write(op.x, std::span<const float>(values));
    values.resize(static_cast<std::size_t>(w.dims.elements()));
    device.write(op.w, std::span<const float>(values));

    const auto prepared = device.prepare(op);
    const device_memory workspace = device.allocate(prepared->workspace_bytes());
    const auto watch = make_stopwatch(device);
    constexpr int warm_up = 1, count = 5;
    std::vector<double> seconds;
    seconds.reserve(count);
    for (int i = 0; i < warm_up + count; ++i) {
        watch->start();
        prepared->execute(workspace.get());
        watch->stop();
        if (i >= warm_up) seconds.push_back(watch->seconds());
    }
    return 1e-9 * cost_of(op).flops / median_of(seconds);
}

} // namespace

device_peaks measure_peaks(backend& device, const std::string& precision, int threads) {
    device_peaks peaks;
    const dtype type = dtype_of(precision);
    if (device.name() == "cuda") {
        peaks.copy_gb_per_s = gpu_facts().at("copy_gb_per_s").get<double>();
        peaks.gemm_gflop_per_s = gemm_gflop_per_s(device, type, 64, 4096);
    } else {
        if (threads == 0) threads = static_cast<int>(std::max(1U, std::thread::hardware_concurrency()));
        if (device.name() != "cpu") threads = 1; // plain loops
        peaks.copy_gb_per_s = processor_copy_gb_per_s(threads);
        peaks.fma_gflop_per_s = processor_fma_gflop_per_s(threads);
        if (device.name() == "cpu") peaks.gemm_gflop_per_s = gemm_gflop_per_s(device, type, 16, 1024);
    }
    return peaks;
}

} // namespace petnet::bench
