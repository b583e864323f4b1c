// SPDX-License-Identifier: Apache-2.0
// CUDA's float16 type for the host, with the conversions that petnet's kernels use.
#pragma once

#include "cuda_host/device.hpp"

struct alignas(2) __half {
    unsigned short bits; // IEEE 754 binary16
};

inline __half __ushort_as_half(unsigned short bits) { return {bits}; }
inline unsigned short __half_as_ushort(__half value) { return value.bits; }

// To nearest, ties to even; from 65520 on infinity; every NaN becomes 0x7FFF, as on the device.
inline __half __float2half_rn(float value) {
    const auto bits = std::bit_cast<std::uint32_t>(value);
    const std::uint32_t sign = bits >> 16 & 0x8000U, magnitude = bits & 0x7FFF'FFFFU;
    std::uint32_t half = 0;
    if (magnitude > 0x7F80'0000U) return {0x7FFF};
    if (magnitude >= 0x477F'F000U) {
        half = 0x7C00;
    } else if (magnitude < 0x3880'0000U) {
        // Below 2^-14: the float addition rounds to multiples of 2^-24, the spacing of the subnormals.
        const float rounded = std::bit_cast<float>(magnitude) + 0.5F;
        half = std::bit_cast<std::uint32_t>(rounded) - std::bit_cast<std::uint32_t>(0.5F);
    } else {
        const std::uint32_t rebiased = magnitude - ((127U - 15U) << 23);
        half = (rebiased + 0xFFFU + (rebiased >> 13 & 1U)) >> 13;
    }
    return {static_cast<unsigned short>(sign | half)};
}

inline float __half2float(__half value) {
    const std::uint32_t sign = (value.bits & 0x8000U) << 16, exponent = value.bits >> 10 & 0x1FU,
                        mantissa = value.bits & 0x3FFU;
    if (exponent == 0) {
        const float magnitude = static_cast<float>(mantissa) * 0x1p-24F;
        return sign != 0 ? -magnitude : magnitude;
    }
    const std::uint32_t widened = exponent == 0x1F ? 0xFFU : exponent + (127U - 15U);
    return std::bit_cast<float>(sign | widened << 23 | mantissa << 13);
}
