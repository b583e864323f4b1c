// SPDX-License-Identifier: Apache-2.0
// Errors, the device's properties, injected failures, the schedule.
#include "tests/cuda_host/runtime.hpp"
#include "tests/cuda_host/scheduler.hpp"

#include <cstdlib>
#include <cxxabi.h>
#include <map>
#include <memory>
#include <string>
#include <vector>

namespace cuda_host {
namespace {

thread_local cudaError_t last_error = cudaSuccess;

struct injection {
    cudaError_t error;
    int successes;
};

cudaDeviceProp default_properties() {
    cudaDeviceProp properties{};
    std::snprintf(properties.name, sizeof properties.name, "Emulated GPU");
    properties.totalGlobalMem = std::size_t{8} << 30;
    properties.sharedMemPerBlock = 48 * 1024;
    properties.major = 9;
    properties.minor = 0;
    properties.multiProcessorCount = 40;
    properties.warpSize = warpSize;
    properties.maxThreadsPerBlock = properties.maxThreadsPerMultiProcessor = 1024;
    properties.memoryBusWidth = 256;
    properties.l2CacheSize = 4 << 20;
    return properties;
}
schedule default_schedule() {
    const char* text = std::getenv("PETNET_CUDA_HOST_SEED");
    const std::string seed = text ? text : "0";
    if (seed == "forward") return {order::forward};
    if (seed == "reverse") return {order::reverse};
    return {order::random, std::stoull(seed)};
}

struct device_state {
    cudaDeviceProp properties = default_properties();
    int count = 1, driver = CUDART_VERSION, runtime = CUDART_VERSION;
    std::multimap<std::string, injection, std::less<>> failures;
    schedule how = default_schedule();
};
device_state& state() {
    static device_state instance;
    return instance;
}

// Never destroyed: objects of static duration may make calls late.
call_counts& counts() {
    static auto& instance = *new call_counts;
    return instance;
}

template <class Run> cudaError_t with_device(const char* call, int device, const Run& run) {
    return api(call, [&] {
        if (state().count == 0) return cudaErrorNoDevice;
        if (device < 0 || device >= state().count) return cudaErrorInvalidDevice;
        run(state().properties);
        return cudaSuccess;
    });
}
cudaError_t give(const char* call, int* to, int value) {
    return api(call, [&] {
        *to = value;
        return cudaSuccess;
    });
}
} // namespace

std::recursive_mutex& runtime_mutex() {
    static std::recursive_mutex instance;
    return instance;
}
void count_call(std::string_view call) {
    const auto found = counts().find(call);
    if (found != counts().end())
        ++found->second;
    else
        counts().emplace(call, 1);
}
call_counts calls() {
    const std::lock_guard lock(runtime_mutex());
    return counts();
}
cudaError_t injected(const char* call) {
    auto& failures = state().failures;
    const auto found = failures.find(call);
    if (found == failures.end() || found->second.successes-- > 0) return cudaSuccess;
    const cudaError_t error = found->second.error;
    failures.erase(found);
    return error;
}
cudaError_t remember(cudaError_t result) noexcept {
    if (result != cudaSuccess && result != cudaErrorNotReady) last_error = result;
    return result;
}
std::size_t device_memory_size() { return state().properties.totalGlobalMem; }

schedule next_schedule() {
    const schedule how = state().how;
    ++state().how.launches;
    return how;
}
std::string text(const schedule& how) {
    if (how.kind != order::random) return how.kind == order::forward ? "forward" : "reverse";
    return "random, seed " + std::to_string(how.seed) + ", launch " + std::to_string(how.launches);
}

void set_schedule(order kind, std::uint64_t seed) { state().how = {kind, seed}; }
void fail_next(std::string_view call, cudaError_t error, int successes) {
    state().failures.emplace(call, injection{error, successes});
}
void set_memory(std::size_t bytes) { state().properties.totalGlobalMem = bytes; }
void set_properties(const cudaDeviceProp& properties) { state().properties = properties; }
void set_device_count(int count) { state().count = count; }
void set_versions(int driver, int runtime) {
    state().driver = driver;
    state().runtime = runtime;
}
void reset() {
    forget_queued_work();
    state() = device_state{};
    last_error = cudaSuccess;
}

cudaError_t launch(const cudaLaunchConfig_t& config, std::function<void()> thread,
                   const std::type_info& kernel) {
    return api("cudaLaunchKernelEx", [&] {
        int status = 0;
        const std::unique_ptr<char, decltype(&std::free)> name(
            abi::__cxa_demangle(kernel.name(), nullptr, nullptr, &status), &std::free);
        launch_work work{config.gridDim, config.blockDim, std::move(thread),
                         name ? name.get() : kernel.name()};
        check_launch(config, work.kernel);
        return queue_work(config.stream, [work = std::move(work)] { run_launch(work, next_schedule()); });
    });
}
} // namespace cuda_host

using cuda_host::api, cuda_host::give, cuda_host::state;

const char* cudaGetErrorName(cudaError_t error) {
    switch (error) {
#define CUDA_HOST_NAME(name, value)                                                                          \
    case name:                                                                                               \
        return #name;
        CUDA_HOST_ERRORS(CUDA_HOST_NAME)
#undef CUDA_HOST_NAME
    }
    return "unrecognized error code";
}
const char* cudaGetErrorString(cudaError_t error) { return cudaGetErrorName(error); }
cudaError_t cudaGetLastError() { return std::exchange(cuda_host::last_error, cudaSuccess); }
cudaError_t cudaPeekAtLastError() { return cuda_host::last_error; }

cudaError_t cudaGetDeviceCount(int* count) {
    return api(__func__, [&] {
        *count = state().count;
        return state().count == 0 ? cudaErrorNoDevice : cudaSuccess;
    });
}
cudaError_t cudaSetDevice(int device) {
    return cuda_host::with_device(__func__, device, [](const cudaDeviceProp&) {});
}
cudaError_t cudaGetDevice(int* device) { return give(__func__, device, 0); }
cudaError_t cudaDriverGetVersion(int* version) { return give(__func__, version, state().driver); }
cudaError_t cudaRuntimeGetVersion(int* version) { return give(__func__, version, state().runtime); }
cudaError_t cudaGetDeviceProperties(cudaDeviceProp* properties, int device) {
    return cuda_host::with_device(__func__, device, [&](const cudaDeviceProp& from) { *properties = from; });
}
cudaError_t cudaDeviceGetAttribute(int* value, cudaDeviceAttr attribute, int device) {
    return cuda_host::with_device(__func__, device, [&](const cudaDeviceProp& from) {
        switch (attribute) {
        case cudaDevAttrMaxThreadsPerBlock:
            *value = from.maxThreadsPerBlock;
            break;
        case cudaDevAttrMaxSharedMemoryPerBlock:
            *value = static_cast<int>(from.sharedMemPerBlock);
            break;
        case cudaDevAttrWarpSize:
            *value = from.warpSize;
            break;
        case cudaDevAttrMultiProcessorCount:
            *value = from.multiProcessorCount;
            break;
        case cudaDevAttrGlobalMemoryBusWidth:
            *value = from.memoryBusWidth;
            break;
        case cudaDevAttrL2CacheSize:
            *value = from.l2CacheSize;
            break;
        case cudaDevAttrComputeCapabilityMajor:
            *value = from.major;
            break;
        case cudaDevAttrComputeCapabilityMinor:
            *value = from.minor;
            break;
        }
    });
}
