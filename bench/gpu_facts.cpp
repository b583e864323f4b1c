// SPDX-License-Identifier: Apache-2.0
#include "bench/gpu_facts.hpp"

#include "kernels/cuda/cudnn_library.hpp"
#include "kernels/cuda/error.hpp"
#include "kernels/cuda/resources.hpp"

#include <algorithm>
#include <cstddef>
#include <cuda_runtime.h>
#include <exception>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

namespace petnet::bench {
namespace {

using namespace kernels::cuda;

constexpr std::size_t copied_bytes = std::size_t{1} << 30; // far beyond any cache

// The median of a few; `passes`: how often each byte goes to or from the GPU's memory.
double copy_gb_per_s(std::byte* to, const std::byte* from, cudaMemcpyKind kind, double passes) {
    constexpr int warm_up = 3, samples = 11;
    const stream on = make_stream();
    const event start = make_timing_event(), end = make_timing_event();
    std::vector<float> milliseconds;
    for (int i = 0; i < warm_up + samples; ++i) {
        float sample = 0;
        check(cudaEventRecord(start.get(), on.get()), "recording an event");
        check(cudaMemcpyAsync(to, from, copied_bytes, kind, on.get()), "copying");
        check(cudaEventRecord(end.get(), on.get()), "recording an event");
        check(cudaEventSynchronize(end.get()), "copying");
        check(cudaEventElapsedTime(&sample, start.get(), end.get()), "reading a clock");
        if (i >= warm_up) milliseconds.push_back(sample);
    }
    std::ranges::sort(milliseconds);
    return passes * static_cast<double>(copied_bytes) * 1e-6 / static_cast<double>(milliseconds[samples / 2]);
}

} // namespace

nlohmann::json gpu_facts() {
    cudaDeviceProp device{};
    check(cudaGetDeviceProperties(&device, 0), "asking the GPU what it is");
    int driver = 0, runtime = 0;
    check(cudaDriverGetVersion(&driver), "asking for the driver's version");
    check(cudaRuntimeGetVersion(&runtime), "asking for the runtime's version");
    std::string cudnn;
    try {
        cudnn = load_cudnn().version;
    } catch (const std::exception& e) {
        cudnn = e.what();
    }
    const device_buffer a = make_device_buffer(copied_bytes), b = make_device_buffer(copied_bytes);
    const pinned_buffer host = make_pinned_buffer(copied_bytes);
    // Not zeros, which some memory moves faster.
    std::fill_n(reinterpret_cast<unsigned*>(host.get()), copied_bytes / sizeof(unsigned), 0x3f9d70a4U);
    return {{"name", device.name},
            {"compute_capability", std::to_string(device.major) + "." + std::to_string(device.minor)},
            {"multiprocessors", device.multiProcessorCount},
            {"memory_bytes", device.totalGlobalMem},
            {"memory_bus_bits", device.memoryBusWidth},
            {"l2_bytes", device.l2CacheSize},
            {"shared_memory_per_block_opt_in", device.sharedMemPerBlockOptin},
            {"shared_memory_per_multiprocessor", device.sharedMemPerMultiprocessor},
            {"registers_per_multiprocessor", device.regsPerMultiprocessor},
            {"threads_per_multiprocessor", device.maxThreadsPerMultiProcessor},
            {"copy_engines", device.asyncEngineCount},
            {"driver_for_cuda", driver},
            {"cuda_runtime", runtime},
            {"cudnn", cudnn},
            {"upload_gb_per_s", copy_gb_per_s(a.get(), host.get(), cudaMemcpyHostToDevice, 1)},
            {"copy_gb_per_s", copy_gb_per_s(b.get(), a.get(), cudaMemcpyDeviceToDevice, 2)}};
}

} // namespace petnet::bench
