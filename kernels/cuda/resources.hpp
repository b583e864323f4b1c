// SPDX-License-Identifier: Apache-2.0
// Owners of what the CUDA runtime hands out. None can be copied; destructors never throw: at the end of a
// process that lost its GPU every call fails, and nothing can be done about it.
#pragma once

#include "kernels/cuda/error.hpp"

#include <algorithm>
#include <cstddef>
#include <cuda_runtime.h>
#include <memory>
#include <type_traits>

namespace petnet::kernels::cuda {

struct release {
    void operator()(cudaStream_t stream) const noexcept { static_cast<void>(cudaStreamDestroy(stream)); }
    void operator()(cudaEvent_t event) const noexcept { static_cast<void>(cudaEventDestroy(event)); }
    void operator()(cudaGraph_t graph) const noexcept { static_cast<void>(cudaGraphDestroy(graph)); }
    void operator()(cudaGraphExec_t graph) const noexcept { static_cast<void>(cudaGraphExecDestroy(graph)); }
};
using stream = std::unique_ptr<std::remove_pointer_t<cudaStream_t>, release>;
using event = std::unique_ptr<std::remove_pointer_t<cudaEvent_t>, release>;
using graph = std::unique_ptr<std::remove_pointer_t<cudaGraph_t>, release>;
using executable_graph = std::unique_ptr<std::remove_pointer_t<cudaGraphExec_t>, release>;

// One that does not wait for the default stream, nor that one for it.
[[nodiscard]] inline stream make_stream() {
    cudaStream_t made = nullptr;
    check(cudaStreamCreateWithFlags(&made, cudaStreamNonBlocking), "making a stream");
    return stream(made);
}
// For ordering, not for timing.
[[nodiscard]] inline event make_event() {
    cudaEvent_t made = nullptr;
    check(cudaEventCreateWithFlags(&made, cudaEventDisableTiming), "making an event");
    return event(made);
}

[[nodiscard]] inline event make_timing_event() {
    cudaEvent_t made = nullptr;
    check(cudaEventCreate(&made), "making an event");
    return event(made);
}

struct free_device_memory {
    void operator()(std::byte* memory) const noexcept { static_cast<void>(cudaFree(memory)); }
};
using device_buffer = std::unique_ptr<std::byte[], free_device_memory>;
[[nodiscard]] inline device_buffer make_device_buffer(std::size_t bytes) {
    void* memory = nullptr;
    check(cudaMalloc(&memory, bytes), "allocating memory of the GPU");
    return device_buffer(static_cast<std::byte*>(memory));
}
// nullptr where the device has not the memory.
[[nodiscard]] inline device_buffer try_device_buffer(std::size_t bytes) {
    void* memory = nullptr;
    const cudaError_t result = cudaMalloc(&memory, std::max<std::size_t>(bytes, 1));
    if (result == cudaErrorMemoryAllocation) {
        static_cast<void>(cudaGetLastError()); // takes it off the record
        return nullptr;
    }
    check(result, "allocating memory of the GPU");
    return device_buffer(static_cast<std::byte*>(memory));
}

// Host memory that the device copies from and to by itself.
struct free_pinned_memory {
    void operator()(std::byte* memory) const noexcept { static_cast<void>(cudaFreeHost(memory)); }
};
using pinned_buffer = std::unique_ptr<std::byte[], free_pinned_memory>;
[[nodiscard]] inline pinned_buffer make_pinned_buffer(std::size_t bytes) {
    void* memory = nullptr;
    check(cudaMallocHost(&memory, bytes), "allocating memory for copies to the GPU");
    return pinned_buffer(static_cast<std::byte*>(memory));
}

} // namespace petnet::kernels::cuda
