// SPDX-License-Identifier: Apache-2.0
#include "kernels/cuda/trial_memory.hpp"

#include "base/float16.hpp"
#include "base/random.hpp"
#include "kernels/cuda/layout.hpp"

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <vector>

namespace petnet::kernels::cuda {
namespace {

std::vector<std::byte> normal_numbers(dtype type, std::size_t count, random_key key, double mean) {
    std::vector<std::byte> bytes(count * element_bytes(type));
    for (std::size_t i = 0; i < count; ++i) {
        const auto value = static_cast<float>(mean + key.normal(i));
        if (type == dtype::f32) {
            std::memcpy(bytes.data() + i * sizeof value, &value, sizeof value);
        } else {
            const std::uint16_t bits = type == dtype::bf16 ? bfloat16_of_float(value) : half_of_float(value);
            std::memcpy(bytes.data() + i * sizeof bits, &bits, sizeof bits);
        }
    }
    return bytes;
}

} // namespace

void fill_with_numbers(cudaStream_t on_stream, dtype type, std::byte* to, std::size_t bytes,
                       std::uint64_t key, double mean) {
    constexpr std::size_t different = std::size_t{1} << 16;
    const std::vector<std::byte> numbers =
        normal_numbers(type, std::min(different, bytes / element_bytes(type)), random_key(key), mean);
    constexpr const char* doing = "filling memory for timing";
    std::size_t done = std::min(bytes, numbers.size());
    check(cudaMemcpyAsync(to, numbers.data(), done, cudaMemcpyHostToDevice, on_stream), doing);
    for (std::size_t count = 0; done < bytes; done += count) {
        count = std::min(done, bytes - done);
        check(cudaMemcpyAsync(to + done, to, count, cudaMemcpyDeviceToDevice, on_stream), doing);
    }
    check(cudaStreamSynchronize(on_stream), doing);
}

} // namespace petnet::kernels::cuda
