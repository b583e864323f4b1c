// SPDX-License-Identifier: Apache-2.0
// CUDA's bfloat16 type for the host, with the conversions that petnet's kernels use.
#pragma once

#include "cuda_host/device.hpp"

struct alignas(2) __nv_bfloat16 {
    unsigned short bits; // the upper half of a float
};

inline __nv_bfloat16 __ushort_as_bfloat16(unsigned short bits) { return {bits}; }
inline unsigned short __bfloat16_as_ushort(__nv_bfloat16 value) { return value.bits; }

// To nearest, ties to even; every NaN becomes 0x7FFF, as on the device.
inline __nv_bfloat16 __float2bfloat16_rn(float value) {
    const auto bits = std::bit_cast<std::uint32_t>(value);
    if ((bits & 0x7FFF'FFFFU) > 0x7F80'0000U) return {0x7FFF};
    return {static_cast<unsigned short>((bits + 0x7FFFU + (bits >> 16 & 1U)) >> 16)};
}

inline float __bfloat162float(__nv_bfloat16 value) {
    return std::bit_cast<float>(static_cast<std::uint32_t>(value.bits) << 16);
}
