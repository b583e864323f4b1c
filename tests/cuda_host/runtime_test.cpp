// SPDX-License-Identifier: Apache-2.0
// Memory, streams, events, graphs, injected failures.
#include "tests/cuda_host/sanitizer.hpp"
#include "tests/cuda_host/test_kernels.hpp"

#include <cmath>
#include <cstring>
#include <thread>
#include <vector>

namespace cuda_host {
namespace {

class cuda_runtime : public cuda_test {};

__global__ void add(int* to, int amount) {
    if (threadIdx.x == 0) *to += amount;
}
__global__ void fails() { throw std::runtime_error("on purpose"); }

// A number in device memory, zero at first, and a stream of its own.
struct number_on_device {
    int* at = nullptr;
    cudaStream_t stream = nullptr;
    explicit number_on_device(unsigned int flags = cudaStreamNonBlocking) {
        EXPECT_EQ(cudaMalloc(&at, sizeof *at), cudaSuccess);
        const int zero = 0;
        EXPECT_EQ(cudaMemcpy(at, &zero, sizeof zero, cudaMemcpyHostToDevice), cudaSuccess);
        EXPECT_EQ(cudaStreamCreateWithFlags(&stream, flags), cudaSuccess);
    }
    number_on_device(const number_on_device&) = delete; // owns
    number_on_device& operator=(const number_on_device&) = delete;
    ~number_on_device() {
        EXPECT_EQ(cudaStreamDestroy(stream), cudaSuccess);
        EXPECT_EQ(cudaFree(at), cudaSuccess);
    }
    void add_later(int amount) const { EXPECT_EQ(start(stream, 1, 32, add, at, amount), cudaSuccess); }
    [[nodiscard]] int now() const {
        int value = 0;
        EXPECT_EQ(cudaMemcpy(&value, at, sizeof value, cudaMemcpyDeviceToHost), cudaSuccess);
        return value;
    }
};

TEST_F(cuda_runtime, a_stream_works_when_somebody_waits) {
    const number_on_device number;
    number.add_later(1);
    number.add_later(2);
    EXPECT_EQ(number.now(), 0); // cudaMemcpy does not wait for a non-blocking stream
    EXPECT_EQ(cudaStreamQuery(number.stream), cudaErrorNotReady);
    EXPECT_EQ(number.now(), 1);
    EXPECT_EQ(cudaStreamSynchronize(number.stream), cudaSuccess);
    EXPECT_EQ(number.now(), 3);
    EXPECT_EQ(cudaStreamQuery(number.stream), cudaSuccess);

    const number_on_device blocking(cudaStreamDefault);
    blocking.add_later(5);
    EXPECT_EQ(blocking.now(), 5);
}

TEST_F(cuda_runtime, asynchronous_copies_are_late) {
    const number_on_device number;
    int* pinned = nullptr;
    ASSERT_EQ(cudaMallocHost(&pinned, 2 * sizeof *pinned), cudaSuccess);
    EXPECT_EQ(pinned[0], -1); // poison
    int pageable = 10;
    pinned[0] = 20;
    const auto copy = [&](void* to, const void* from, cudaMemcpyKind kind) {
        EXPECT_EQ(cudaMemcpyAsync(to, from, sizeof(int), kind, number.stream), cudaSuccess);
    };
    copy(number.at, &pageable, cudaMemcpyHostToDevice);
    pageable = 11; // too late: pageable memory is read at the call
    number.add_later(1);
    copy(&pinned[1], number.at, cudaMemcpyDeviceToHost);
    copy(number.at, &pinned[0], cudaMemcpyHostToDevice);
    pinned[0] = 30; // in time
    EXPECT_EQ(pinned[1], -1);
    EXPECT_EQ(cudaStreamSynchronize(number.stream), cudaSuccess);
    EXPECT_EQ(pinned[1], 11);
    EXPECT_EQ(number.now(), 30);
    EXPECT_EQ(cudaMemsetAsync(number.at, 1, sizeof(int), number.stream), cudaSuccess);
    EXPECT_EQ(number.now(), 30);
    EXPECT_EQ(cudaDeviceSynchronize(), cudaSuccess);
    EXPECT_EQ(number.now(), 0x01010101);
    EXPECT_EQ(cudaFreeHost(pinned), cudaSuccess);
}

TEST_F(cuda_runtime, copies_check_their_addresses) {
    const number_on_device number;
    int host[2] = {};
    EXPECT_EQ(cudaMemcpy(host, number.at, 4, cudaMemcpyHostToDevice), cudaErrorInvalidValue);
    EXPECT_EQ(cudaMemcpy(number.at, host, 4, cudaMemcpyDeviceToHost), cudaErrorInvalidValue);
    EXPECT_EQ(cudaMemcpy(host, host + 1, 4, cudaMemcpyDeviceToHost), cudaErrorInvalidValue);
    EXPECT_EQ(cudaMemcpy(host, number.at, 8, cudaMemcpyDeviceToHost), cudaErrorInvalidValue);
    EXPECT_EQ(cudaMemcpyAsync(host, number.at, 8, cudaMemcpyDefault, number.stream), cudaErrorInvalidValue);
    EXPECT_EQ(cudaMemset(host, 0, 4), cudaErrorInvalidValue);
    EXPECT_EQ(cudaMemset(number.at, 0, 5), cudaErrorInvalidValue);
    EXPECT_EQ(cudaMemcpy(host, number.at, 4, cudaMemcpyDefault), cudaSuccess);
    EXPECT_EQ(cudaFree(host), cudaErrorInvalidValue);
    EXPECT_EQ(cudaFreeHost(number.at), cudaErrorInvalidValue);
    EXPECT_EQ(cudaGetLastError(), cudaErrorInvalidValue);
    EXPECT_EQ(cudaGetLastError(), cudaSuccess);
}

TEST_F(cuda_runtime, device_memory_is_closed_to_host_code) {
    if (!has_address_sanitizer()) GTEST_SKIP() << "built without AddressSanitizer";
    const number_on_device number;
    EXPECT_DEATH(*number.at = 1, "use-after-poison");
}

TEST_F(cuda_runtime, events_order_streams) {
    const number_on_device first, second;
    cudaEvent_t begin = nullptr, end = nullptr;
    ASSERT_EQ(cudaEventCreate(&begin), cudaSuccess);
    ASSERT_EQ(cudaEventCreate(&end), cudaSuccess);
    EXPECT_EQ(cudaEventQuery(end), cudaSuccess); // never recorded
    float milliseconds = 0;
    EXPECT_EQ(cudaEventElapsedTime(&milliseconds, begin, end), cudaErrorInvalidResourceHandle);
    EXPECT_EQ(cudaEventRecord(begin, first.stream), cudaSuccess);
    first.add_later(4);
    EXPECT_EQ(cudaEventRecord(end, first.stream), cudaSuccess);
    first.add_later(100);
    EXPECT_EQ(cudaEventElapsedTime(&milliseconds, begin, end), cudaErrorNotReady);
    // The second stream copies what the first had written when the event was recorded, and no more.
    EXPECT_EQ(cudaStreamWaitEvent(second.stream, end), cudaSuccess);
    EXPECT_EQ(cudaMemcpyAsync(second.at, first.at, sizeof(int), cudaMemcpyDeviceToDevice, second.stream),
              cudaSuccess);
    EXPECT_EQ(cudaStreamSynchronize(second.stream), cudaSuccess);
    EXPECT_EQ(second.now(), 4);
    EXPECT_EQ(first.now(), 4);
    EXPECT_EQ(cudaEventQuery(end), cudaSuccess);
    EXPECT_EQ(cudaEventElapsedTime(&milliseconds, begin, end), cudaSuccess);
    EXPECT_EQ(milliseconds, time_of_an_operation.count());
    EXPECT_EQ(cudaEventRecord(end, first.stream), cudaSuccess);
    EXPECT_EQ(cudaEventSynchronize(end), cudaSuccess);
    EXPECT_EQ(first.now(), 104);
    EXPECT_EQ(cudaEventDestroy(begin), cudaSuccess);
    EXPECT_EQ(cudaEventDestroy(end), cudaSuccess);
    EXPECT_EQ(cudaEventDestroy(end), cudaErrorInvalidResourceHandle);
}

TEST_F(cuda_runtime, graphs_replay_what_was_captured) {
    const number_on_device number;
    cudaStreamCaptureStatus status{};
    ASSERT_EQ(cudaStreamBeginCapture(number.stream, cudaStreamCaptureModeThreadLocal), cudaSuccess);
    EXPECT_EQ(cudaStreamIsCapturing(number.stream, &status), cudaSuccess);
    EXPECT_EQ(status, cudaStreamCaptureStatusActive);
    number.add_later(1);
    number.add_later(2);
    enqueue(number.stream, [&] { *number.at *= 2; });
    cudaGraph_t graph = nullptr;
    ASSERT_EQ(cudaStreamEndCapture(number.stream, &graph), cudaSuccess);
    EXPECT_EQ(queued(), 0U);
    std::size_t nodes = 0;
    EXPECT_EQ(cudaGraphGetNodes(graph, nullptr, &nodes), cudaSuccess);
    EXPECT_EQ(nodes, 3U);
    cudaGraphExec_t executable = nullptr;
    ASSERT_EQ(cudaGraphInstantiate(&executable, graph), cudaSuccess);
    EXPECT_EQ(cudaGraphDestroy(graph), cudaSuccess);
    EXPECT_EQ(cudaGraphLaunch(executable, number.stream), cudaSuccess);
    EXPECT_EQ(cudaGraphLaunch(executable, number.stream), cudaSuccess);
    EXPECT_EQ(cudaGraphExecDestroy(executable), cudaSuccess); // a launch keeps what it needs
    EXPECT_EQ(number.now(), 0);
    EXPECT_EQ(cudaStreamSynchronize(number.stream), cudaSuccess);
    EXPECT_EQ(number.now(), 18);
    EXPECT_EQ(cudaGraphLaunch(executable, number.stream), cudaErrorInvalidResourceHandle);
}

TEST_F(cuda_runtime, what_a_capture_does_not_allow_ends_it) {
    const number_on_device number;
    void* memory = nullptr;
    int host = 0;
    cudaEvent_t event = nullptr;
    ASSERT_EQ(cudaEventCreateWithFlags(&event, cudaEventDisableTiming), cudaSuccess);
    const std::vector<std::pair<std::function<cudaError_t()>, cudaError_t>> calls{
        {[&] { return cudaMalloc(&memory, 16); }, cudaErrorStreamCaptureUnsupported},
        {[&] { return cudaFree(number.at); }, cudaErrorStreamCaptureUnsupported},
        {[&] { return cudaMemcpy(&host, number.at, 4, cudaMemcpyDeviceToHost); },
         cudaErrorStreamCaptureUnsupported},
        {[&] { return cudaStreamSynchronize(number.stream); }, cudaErrorStreamCaptureUnsupported},
        {[&] { return cudaStreamQuery(number.stream); }, cudaErrorStreamCaptureUnsupported},
        {[&] { return cudaDeviceSynchronize(); }, cudaErrorStreamCaptureUnsupported},
        {[&] { return cudaStreamWaitEvent(number.stream, event); }, cudaErrorStreamCaptureIsolation},
        {[&] {
             EXPECT_EQ(cudaEventRecord(event, number.stream), cudaSuccess);
             return cudaEventSynchronize(event);
         },
         cudaErrorCapturedEvent},
    };
    for (std::size_t i = 0; i < calls.size(); ++i) {
        ASSERT_EQ(cudaStreamBeginCapture(number.stream, cudaStreamCaptureModeThreadLocal), cudaSuccess);
        EXPECT_EQ(calls[i].first(), calls[i].second) << i;
        EXPECT_EQ(start(number.stream, 1, 32, add, number.at, 1), cudaErrorStreamCaptureInvalidated) << i;
        cudaGraph_t graph = nullptr;
        EXPECT_EQ(cudaStreamEndCapture(number.stream, &graph), cudaErrorStreamCaptureInvalidated) << i;
        EXPECT_EQ(graph, nullptr) << i;
    }
    cudaGraph_t graph = nullptr;
    EXPECT_EQ(cudaStreamEndCapture(number.stream, &graph), cudaErrorIllegalState);
    EXPECT_EQ(cudaStreamBeginCapture(nullptr, cudaStreamCaptureModeThreadLocal),
              cudaErrorStreamCaptureUnsupported);
    // Another thread is free to allocate.
    ASSERT_EQ(cudaStreamBeginCapture(number.stream, cudaStreamCaptureModeThreadLocal), cudaSuccess);
    std::thread([&] { EXPECT_EQ(cudaMalloc(&memory, 16), cudaSuccess); }).join();
    std::thread([&] {
        EXPECT_EQ(cudaStreamEndCapture(number.stream, &graph), cudaErrorStreamCaptureWrongThread);
    }).join();
    EXPECT_EQ(cudaStreamEndCapture(number.stream, &graph), cudaSuccess);
    EXPECT_EQ(cudaGraphDestroy(graph), cudaSuccess);
    EXPECT_EQ(cudaFree(memory), cudaSuccess);
    EXPECT_EQ(cudaEventDestroy(event), cudaSuccess);
}

TEST_F(cuda_runtime, a_failed_kernel_leaves_the_call_that_ran_it) {
    const number_on_device number;
    number.add_later(1);
    EXPECT_EQ(start(number.stream, 1, 32, fails), cudaSuccess);
    number.add_later(1);
    EXPECT_THROW(cudaStreamSynchronize(number.stream), kernel_error);
    EXPECT_EQ(queued(), 0U);
    EXPECT_EQ(number.now(), 1);
    // Destructors see an error code.
    cudaStream_t stream = nullptr;
    ASSERT_EQ(cudaStreamCreateWithFlags(&stream, cudaStreamNonBlocking), cudaSuccess);
    EXPECT_EQ(start(stream, 1, 32, fails), cudaSuccess);
    EXPECT_EQ(cudaStreamDestroy(stream), cudaErrorLaunchFailure);
}

TEST_F(cuda_runtime, memory_ends_where_the_test_says) {
    set_memory(1000);
    void *first = nullptr, *second = nullptr;
    ASSERT_EQ(cudaMalloc(&first, 900), cudaSuccess);
    EXPECT_EQ(cudaMalloc(&second, 101), cudaErrorMemoryAllocation);
    EXPECT_EQ(second, nullptr);
    std::size_t available = 0, total = 0;
    EXPECT_EQ(cudaMemGetInfo(&available, &total), cudaSuccess);
    EXPECT_EQ(available, 100U);
    EXPECT_EQ(total, 1000U);
    EXPECT_EQ(in_use().device_bytes, 900U);
    EXPECT_EQ(cudaFree(first), cudaSuccess);
    EXPECT_EQ(cudaMalloc(&second, 1000), cudaSuccess);
    std::vector<unsigned char> content(1000);
    EXPECT_EQ(cudaMemcpy(content.data(), second, 1000, cudaMemcpyDeviceToHost), cudaSuccess);
    EXPECT_EQ(content, std::vector<unsigned char>(1000, 0xFF)); // NaN, whatever is read
    EXPECT_EQ(cudaFree(second), cudaSuccess);
    EXPECT_EQ(cudaMalloc(&second, 0), cudaSuccess);
    EXPECT_EQ(second, nullptr);
}

TEST_F(cuda_runtime, failures_come_when_asked_for) {
    int count = 0;
    fail_next("cudaGetDeviceCount", cudaErrorInsufficientDriver);
    EXPECT_EQ(cudaGetDeviceCount(&count), cudaErrorInsufficientDriver);
    EXPECT_EQ(cudaPeekAtLastError(), cudaErrorInsufficientDriver);
    EXPECT_EQ(cudaGetLastError(), cudaErrorInsufficientDriver);
    EXPECT_EQ(cudaGetLastError(), cudaSuccess);
    EXPECT_EQ(cudaGetDeviceCount(&count), cudaSuccess);
    EXPECT_EQ(count, 1);
    fail_next("cudaLaunchKernelEx", cudaErrorNoKernelImageForDevice, 1);
    int value = 0;
    EXPECT_EQ(start(nullptr, 1, 32, add, &value, 1), cudaSuccess);
    EXPECT_EQ(start(nullptr, 1, 32, add, &value, 1), cudaErrorNoKernelImageForDevice);
    EXPECT_EQ(start(nullptr, 1, 32, add, &value, 1), cudaSuccess);
    EXPECT_EQ(cudaDeviceSynchronize(), cudaSuccess);
    EXPECT_EQ(value, 2);
    EXPECT_STREQ(cudaGetErrorName(cudaErrorECCUncorrectable), "cudaErrorECCUncorrectable");
}

TEST_F(cuda_runtime, calls_are_counted) {
    const auto made = [before = calls()](std::string_view call) {
        const auto count = [call](const call_counts& in) {
            const auto found = in.find(call);
            return found == in.end() ? 0 : found->second;
        };
        return count(calls()) - count(before);
    };
    void *device = nullptr, *pinned = nullptr;
    int pageable = 0;
    ASSERT_EQ(cudaMalloc(&device, sizeof pageable), cudaSuccess);
    ASSERT_EQ(cudaMallocHost(&pinned, sizeof pageable), cudaSuccess);
    for (const void* from : {static_cast<const void*>(&pageable), static_cast<const void*>(pinned)})
        EXPECT_EQ(cudaMemcpyAsync(device, from, sizeof pageable, cudaMemcpyHostToDevice, nullptr),
                  cudaSuccess);
    EXPECT_EQ(cudaMemcpyAsync(&pageable, device, sizeof pageable, cudaMemcpyDeviceToHost, nullptr),
              cudaSuccess);
    EXPECT_EQ(cudaDeviceSynchronize(), cudaSuccess);
    EXPECT_EQ(made("cudaMalloc"), 1U);
    EXPECT_EQ(made("cudaMemcpyAsync"), 3U);
    EXPECT_EQ(made(pageable_copy), 2U);
    EXPECT_EQ(made("cudaDeviceSynchronize"), 1U);
    EXPECT_EQ(made("cudaFree"), 0U);
    EXPECT_EQ(cudaFree(device), cudaSuccess);
    EXPECT_EQ(made("cudaFree"), 1U);
    EXPECT_EQ(cudaFreeHost(pinned), cudaSuccess);
}

TEST_F(cuda_runtime, the_device_is_what_the_test_says) {
    cudaDeviceProp properties{};
    EXPECT_EQ(cudaGetDeviceProperties(&properties, 0), cudaSuccess);
    EXPECT_EQ(cudaGetDeviceProperties(&properties, 1), cudaErrorInvalidDevice);
    properties.major = 9;
    set_properties(properties);
    int value = 0;
    EXPECT_EQ(cudaDeviceGetAttribute(&value, cudaDevAttrComputeCapabilityMajor, 0), cudaSuccess);
    EXPECT_EQ(value, 9);
    set_versions(12080, 13000);
    EXPECT_EQ(cudaDriverGetVersion(&value), cudaSuccess);
    EXPECT_EQ(value, 12080);
    EXPECT_EQ(cudaRuntimeGetVersion(&value), cudaSuccess);
    EXPECT_EQ(value, 13000);
    set_device_count(0);
    EXPECT_EQ(cudaGetDeviceCount(&value), cudaErrorNoDevice);
    EXPECT_EQ(cudaSetDevice(0), cudaErrorNoDevice);
}

} // namespace
} // namespace cuda_host
