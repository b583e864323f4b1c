// SPDX-License-Identifier: Apache-2.0
// The language of device code, for ordinary C++ compilers: keywords, indices, barriers, warp collectives,
// maths.
#pragma once

#include <array>
#include <bit>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <math.h> // NOLINT(modernize-deprecated-headers): device code calls fmaf and the like unqualified
#include <type_traits>

// NOLINTBEGIN(clang-diagnostic-reserved-*): the names are CUDA's.

// __shared__ is left undefined on purpose: shared memory comes from shared_memory<T>() (kernels/cuda/ here).
#define __global__
#define __device__
#define __host__
#define __forceinline__ inline __attribute__((always_inline))
#define __launch_bounds__(...)
#define __grid_constant__

struct uint3 {
    unsigned int x, y, z;
};
struct dim3 {
    unsigned int x, y, z;
    // NOLINTNEXTLINE(google-explicit-constructor): as in CUDA
    constexpr dim3(unsigned int vx = 1, unsigned int vy = 1, unsigned int vz = 1) : x(vx), y(vy), z(vz) {}
};

// Of the thread that runs now; the scheduler sets them. One launch runs at a time, on one thread of the host.
inline uint3 threadIdx{}, blockIdx{};
inline dim3 blockDim, gridDim;
inline constexpr int warpSize = 32;

namespace cuda_host {

// Where a thread of a block can stand between two stretches of running.
enum class stop : std::uint8_t {
    ready,
    ended,
    syncthreads,
    syncwarp,
    shfl,
    shfl_up,
    shfl_down,
    shfl_xor,
    vote
};
inline constexpr unsigned int warp_lanes = 32, full_mask = 0xFFFF'FFFF;

// Lets the other threads of the block run until all have come to the barrier.
void wait_for_block();
// The values that the 32 lanes of the warp brought to this collective. Valid until the next but one.
const std::uint64_t* exchange(stop collective, unsigned int mask, std::uint64_t value);
[[nodiscard]] unsigned int lane() noexcept; // of the thread that runs now

// Shared memory of the block that runs, poisoned when first asked for: the same for all threads that bring
// the same key (one per type), other memory for other keys.
std::byte* shared_bytes(const void* key, std::size_t bytes, std::size_t alignment);

template <class T>
concept shuffled = std::is_arithmetic_v<T> &&(sizeof(T) == 4 || sizeof(T) == 8);

template <shuffled T> std::uint64_t to_bits(T value) {
    std::uint64_t bits = 0;
    std::memcpy(&bits, &value, sizeof value);
    return bits;
}
template <shuffled T> T shuffle(stop kind, unsigned int mask, T value, unsigned int from) {
    const std::uint64_t* values = exchange(kind, mask, to_bits(value));
    T result;
    std::memcpy(&result, values + from, sizeof result);
    return result;
}
// The last lane of this lane's segment of `width` lanes, and the first.
inline unsigned int first_of(int width) { return lane() & ~(static_cast<unsigned int>(width) - 1); }
inline unsigned int last_of(int width) { return lane() | (static_cast<unsigned int>(width) - 1); }

} // namespace cuda_host

inline void __syncthreads() { cuda_host::wait_for_block(); }
inline void __syncwarp(unsigned int mask = cuda_host::full_mask) {
    cuda_host::exchange(cuda_host::stop::syncwarp, mask, 0);
}
inline void __threadfence() {}
inline void __threadfence_block() {}

// As in CUDA: a lane whose source lies outside its segment of `width` lanes (a power of two) gets its own
// value.
template <cuda_host::shuffled T> T __shfl_sync(unsigned int mask, T value, int from, int width = warpSize) {
    const unsigned int offset = static_cast<unsigned int>(from) & (static_cast<unsigned int>(width) - 1);
    return cuda_host::shuffle(cuda_host::stop::shfl, mask, value, cuda_host::first_of(width) + offset);
}
template <cuda_host::shuffled T>
T __shfl_up_sync(unsigned int mask, T value, unsigned int delta, int width = warpSize) {
    const unsigned int lane = cuda_host::lane();
    const bool inside = lane >= cuda_host::first_of(width) + delta;
    return cuda_host::shuffle(cuda_host::stop::shfl_up, mask, value, inside ? lane - delta : lane);
}
template <cuda_host::shuffled T>
T __shfl_down_sync(unsigned int mask, T value, unsigned int delta, int width = warpSize) {
    const unsigned int lane = cuda_host::lane();
    const bool inside = lane + delta <= cuda_host::last_of(width);
    return cuda_host::shuffle(cuda_host::stop::shfl_down, mask, value, inside ? lane + delta : lane);
}
template <cuda_host::shuffled T>
T __shfl_xor_sync(unsigned int mask, T value, int lane_mask, int width = warpSize) {
    const unsigned int lane = cuda_host::lane(), from = lane ^ static_cast<unsigned int>(lane_mask);
    const bool inside = from <= cuda_host::last_of(width);
    return cuda_host::shuffle(cuda_host::stop::shfl_xor, mask, value, inside ? from : lane);
}
inline unsigned int __ballot_sync(unsigned int mask, int predicate) {
    const std::uint64_t* values = cuda_host::exchange(cuda_host::stop::vote, mask, predicate != 0 ? 1 : 0);
    unsigned int result = 0;
    for (unsigned int lane = 0; lane < cuda_host::warp_lanes; ++lane)
        result |= (values[lane] != 0 ? 1U : 0U) << lane;
    return result;
}
inline int __any_sync(unsigned int mask, int predicate) {
    return __ballot_sync(mask, predicate) != 0 ? 1 : 0;
}
inline int __all_sync(unsigned int mask, int predicate) {
    return __ballot_sync(mask, predicate) == cuda_host::full_mask ? 1 : 0;
}

// A thread is never interrupted, so plain arithmetic is atomic. No floats: the order of their additions is
// fixed.
template <class T>
requires std::is_same_v<T, int> || std::is_same_v<T, unsigned int> || std::is_same_v<T, unsigned long long>
    T atomicAdd(T* address, std::type_identity_t<T> value) {
    const T before = *address;
    *address = static_cast<T>(static_cast<std::make_unsigned_t<T>>(before) +
                              static_cast<std::make_unsigned_t<T>>(value)); // wraps
    return before;
}

// NOLINTEND(clang-diagnostic-reserved-*)
