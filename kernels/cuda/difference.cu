// SPDX-License-Identifier: Apache-2.0
// The largest difference of two tensors, for checking one way to compute something against another.
//
// Computes: max |a[i] - b[i]| and max |a[i]| in float32: the maxima of each block, the rest on the host.
// Numerics: exact but for the rounding of one subtraction; infinite where an element is infinite or NaN.
// Determinism: a maximum does not depend on its order.
// Cost: it runs a few times before training; one element a load is enough.
#include "kernels/cuda/difference.hpp"

#include "kernels/cuda/element.cuh"
#include "kernels/cuda/launch.hpp"
#include "kernels/cuda/resources.hpp"
#include "kernels/cuda/shared_memory.cuh"

#include <algorithm>
#include <limits>
#include <vector>

namespace petnet::kernels::cuda {
namespace {

constexpr int block_threads = 256;
constexpr std::int64_t most_blocks = 512; // a wave on an A100, nearly

template <class Element> struct difference_parameters {
    const Element *a, *b;
    std::int64_t count;
    difference* of_block;
};

struct block_maxima {
    difference of[block_threads];
};

template <class Element>
__global__ void __launch_bounds__(block_threads) find_difference(difference_parameters<Element> p) {
    auto& shared = shared_memory<block_maxima>();
    difference mine{0, 0};
    const std::int64_t step = static_cast<std::int64_t>(gridDim.x) * block_threads;
    for (std::int64_t i = static_cast<std::int64_t>(blockIdx.x) * block_threads + threadIdx.x; i < p.count;
         i += step) {
        const float a = to_float(p.a[i]), b = to_float(p.b[i]), apart = fabsf(a - b);
        mine.largest_magnitude = fmaxf(mine.largest_magnitude, fabsf(a));
        // Infinity less infinity is NaN, of which fmaxf would take the other operand.
        mine.largest = apart < std::numeric_limits<float>::infinity()
                           ? fmaxf(mine.largest, apart)
                           : std::numeric_limits<float>::infinity();
    }
    shared.of[threadIdx.x] = mine;
    for (unsigned half = block_threads / 2; half > 0; half /= 2) {
        __syncthreads();
        if (threadIdx.x >= half) continue;
        const difference other = shared.of[threadIdx.x + half];
        mine.largest = fmaxf(mine.largest, other.largest);
        mine.largest_magnitude = fmaxf(mine.largest_magnitude, other.largest_magnitude);
        shared.of[threadIdx.x] = mine;
    }
    if (threadIdx.x == 0) p.of_block[blockIdx.x] = mine;
}

template <class Element>
difference find(cudaStream_t stream, const std::byte* a, const std::byte* b, std::int64_t count) {
    const auto blocks =
        static_cast<std::size_t>(std::clamp(divide_up(count, block_threads), std::int64_t{1}, most_blocks));
    std::vector<difference> found(blocks);
    const std::size_t bytes = blocks * sizeof(difference);
    const device_buffer memory = make_device_buffer(bytes);
    auto* of_block = reinterpret_cast<difference*>(memory.get());
    launch(stream, static_cast<unsigned>(blocks), block_threads, find_difference<Element>,
           difference_parameters<Element>{reinterpret_cast<const Element*>(a),
                                          reinterpret_cast<const Element*>(b), count, of_block});
    constexpr const char* doing = "comparing tensors";
    check(cudaMemcpyAsync(found.data(), of_block, bytes, cudaMemcpyDeviceToHost, stream), doing);
    check(cudaStreamSynchronize(stream), doing);
    difference all{0, 0};
    for (const difference& of : found) {
        all.largest = std::max(all.largest, of.largest);
        all.largest_magnitude = std::max(all.largest_magnitude, of.largest_magnitude);
    }
    return all;
}

} // namespace

difference difference_of(cudaStream_t on_stream, dtype type, const std::byte* a, const std::byte* b,
                         std::int64_t count) {
    constexpr std::int64_t any_width = 4;
    return with_element(type, any_width, [&]<class Element, class Width>(Element, Width) {
        return find<Element>(on_stream, a, b, count);
    });
}

} // namespace petnet::kernels::cuda
