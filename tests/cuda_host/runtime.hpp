// SPDX-License-Identifier: Apache-2.0
// What the calls of the emulated runtime share.
#pragma once

#include "tests/cuda_host/include/cuda_host/control.hpp"

#include <cstdio>
#include <cuda_runtime.h>
#include <functional>
#include <mutex>

namespace cuda_host {

// One for all calls. Recursive: host functions in a stream may make calls, as far as those are allowed.
std::recursive_mutex& runtime_mutex();
// The failure that a test asked for, or cudaSuccess.
cudaError_t injected(const char* call);
cudaError_t remember(cudaError_t result) noexcept; // for cudaGetLastError
void count_call(std::string_view call);

// Every call of the runtime goes through here.
template <class Run> cudaError_t api(const char* call, const Run& run) {
    const std::lock_guard lock(runtime_mutex());
    count_call(call);
    if (const cudaError_t error = injected(call); error != cudaSuccess) return remember(error);
    return remember(run());
}
// For calls that destructors make.
template <class Run> cudaError_t api_without_exceptions(const char* call, const Run& run) {
    return api(call, [&]() -> cudaError_t {
        try {
            return run();
        } catch (const std::exception& error) {
            std::fprintf(stderr, "%s: %s\n", call, error.what());
            return cudaErrorLaunchFailure;
        }
    });
}

[[nodiscard]] std::size_t device_memory_size();

// While one lives, host code may touch device memory.
class device_access {
  public:
    device_access();
    device_access(const device_access&) = delete; // counted
    device_access& operator=(const device_access&) = delete;
    ~device_access();
};

// What an operation queued on a stream does; launches, copies, ... of all streams, and their capture.
cudaError_t queue_work(cudaStream_t stream, std::function<void()> does,
                       device_duration takes = time_of_an_operation);
[[nodiscard]] bool is_capturing(cudaStream_t stream);
// cudaErrorStreamCaptureUnsupported, and an invalid capture, where this thread captures.
cudaError_t refuse_while_capturing();
void finish_default_stream(); // and the streams that it waits for
void finish_all_streams();
void forget_queued_work();
void count_memory(usage& into);

} // namespace cuda_host
