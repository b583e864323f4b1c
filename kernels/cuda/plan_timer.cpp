// SPDX-License-Identifier: Apache-2.0
#include "kernels/cuda/plan_timer.hpp"

#include "base/errors.hpp"
#include "base/float16.hpp"
#include "base/random.hpp"
#include "kernels/cuda/layout.hpp"

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <limits>
#include <utility>
#include <vector>

namespace petnet::kernels::cuda {
namespace {

// Shorter ones are repeated, up to so often: the clock ticks every half a microsecond.
constexpr double long_enough = 0.2; // milliseconds
constexpr int most_runs = 20;

event make_clock() {
    cudaEvent_t made = nullptr;
    check(cudaEventCreate(&made), "making a clock");
    return event(made);
}

// nullptr where the device has not the memory.
device_buffer try_device_buffer(std::size_t bytes) {
    void* memory = nullptr;
    const cudaError_t result = cudaMalloc(&memory, std::max<std::size_t>(bytes, 1));
    if (result == cudaErrorMemoryAllocation) {
        static_cast<void>(cudaGetLastError()); // takes it off the record
        return nullptr;
    }
    check(result, "allocating memory for timing");
    return device_buffer(static_cast<std::byte*>(memory));
}

std::vector<std::byte> normal_numbers(dtype type, std::size_t count) {
    const random_key key(1);
    std::vector<std::byte> bytes(count * element_bytes(type));
    for (std::size_t i = 0; i < count; ++i) {
        const auto value = static_cast<float>(key.normal(i));
        if (type == dtype::f32) {
            std::memcpy(bytes.data() + i * sizeof value, &value, sizeof value);
        } else {
            const std::uint16_t bits = type == dtype::bf16 ? bfloat16_of_float(value) : half_of_float(value);
            std::memcpy(bytes.data() + i * sizeof bits, &bits, sizeof bits);
        }
    }
    return bytes;
}

// The numbers, again and again.
void fill(cudaStream_t on_stream, std::byte* to, std::size_t bytes, const std::vector<std::byte>& numbers) {
    constexpr const char* doing = "filling memory for timing";
    std::size_t done = std::min(bytes, numbers.size());
    check(cudaMemcpyAsync(to, numbers.data(), done, cudaMemcpyHostToDevice, on_stream), doing);
    for (std::size_t count = 0; done < bytes; done += count) {
        count = std::min(done, bytes - done);
        check(cudaMemcpyAsync(to + done, to, count, cudaMemcpyDeviceToDevice, on_stream), doing);
    }
    check(cudaStreamSynchronize(on_stream), doing);
}

} // namespace

plan_timer::plan_timer(cudaStream_t on_stream, device_buffer a, device_buffer b, device_buffer result,
                       device_buffer workspace)
    : stream_(on_stream),
      a_(std::move(a)),
      b_(std::move(b)),
      result_(std::move(result)),
      workspace_(std::move(workspace)),
      begin_(make_clock()),
      end_(make_clock()) {}

std::unique_ptr<plan_timer> plan_timer::make(cudaStream_t on_stream, const stored_convolution& problem,
                                             std::size_t workspace_bytes) {
    const auto bytes_of = [&](const shape& dims) {
        return static_cast<std::size_t>(dims.elements()) * element_bytes(problem.activations);
    };
    const std::size_t x = bytes_of(problem.shape.x()), w = bytes_of(problem.shape.w()),
                      y = bytes_of(problem.shape.y());
    std::size_t a_bytes = x, b_bytes = w, result_bytes = y;
    if (problem.kind == convolution_kind::backward_data) std::swap(a_bytes, result_bytes);
    if (problem.kind == convolution_kind::backward_weights) std::swap(b_bytes, result_bytes);

    device_buffer a = try_device_buffer(a_bytes), b = try_device_buffer(b_bytes),
                  result = try_device_buffer(result_bytes), workspace = try_device_buffer(workspace_bytes);
    if (!a || !b || !result || !workspace) return nullptr;
    constexpr std::size_t different = std::size_t{1} << 16;
    const std::vector<std::byte> numbers = normal_numbers(problem.activations, different);
    fill(on_stream, a.get(), a_bytes, numbers);
    fill(on_stream, b.get(), b_bytes, numbers);
    return std::unique_ptr<plan_timer>(
        new plan_timer(on_stream, std::move(a), std::move(b), std::move(result), std::move(workspace)));
}

double plan_timer::milliseconds(const std::function<void(const operands&)>& run) {
    constexpr double never = std::numeric_limits<double>::infinity();
    const double one = elapsed(run, 1);
    if (one >= long_enough) return one; // or infinity
    const double runs = std::ceil(long_enough / std::max(one, long_enough / most_runs));
    const double several = elapsed(run, static_cast<int>(runs));
    return std::isfinite(several) ? several / runs : never;
}

double plan_timer::elapsed(const std::function<void(const operands&)>& run, int times) {
    constexpr const char* doing = "timing a convolution";
    check(cudaEventRecord(begin_.get(), stream_), doing);
    try {
        for (int i = 0; i < times; ++i) run({a_.get(), b_.get(), result_.get(), workspace_.get()});
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
