// SPDX-License-Identifier: Apache-2.0
// IEEE 754 binary16 and bfloat16 as bits, converted in software: for files, and for the reference backend.
#pragma once

#include <bit>
#include <cmath>
#include <cstdint>

namespace petnet {

// Exact; the bits of a NaN are kept.
[[nodiscard]] inline float float_of_half(std::uint16_t half) noexcept {
    const std::uint32_t sign = (half & 0x8000U) << 16;
    const std::uint32_t exponent = (half >> 10) & 0x1FU;
    const std::uint32_t mantissa = half & 0x3FFU;
    if (exponent == 31) return std::bit_cast<float>(sign | 0x7F800000U | mantissa << 13);
    if (exponent != 0) return std::bit_cast<float>(sign | (exponent + 112) << 23 | mantissa << 13);
    const float magnitude = static_cast<float>(mantissa) * 0x1p-24F; // subnormal or zero
    return sign != 0 ? -magnitude : magnitude;
}
[[nodiscard]] inline float float_of_bfloat16(std::uint16_t bits) noexcept {
    return std::bit_cast<float>(static_cast<std::uint32_t>(bits) << 16);
}

// To nearest, ties to even; from 65520 on to infinity.
[[nodiscard]] inline std::uint16_t half_of_float(float value) noexcept {
    const auto bits = std::bit_cast<std::uint32_t>(value);
    const auto sign = static_cast<std::uint16_t>(bits >> 16 & 0x8000U);
    const float magnitude = std::abs(value);
    if (std::isnan(value)) return static_cast<std::uint16_t>(sign | 0x7E00U);
    if (magnitude >= 65520.0F) return static_cast<std::uint16_t>(sign | 0x7C00U);
    if (magnitude < 0x1p-14F) { // subnormal: units of 2^-24, which adding 0.5 leaves in the lowest bits
        const auto units =
            std::bit_cast<std::uint32_t>(magnitude + 0.5F) - std::bit_cast<std::uint32_t>(0.5F);
        return static_cast<std::uint16_t>(sign | units);
    }
    const std::uint32_t rebiased = (bits & 0x7FFFFFFFU) - (112U << 23);
    return static_cast<std::uint16_t>(sign | (rebiased + 0xFFFU + (rebiased >> 13 & 1U)) >> 13);
}
[[nodiscard]] inline std::uint16_t bfloat16_of_float(float value) noexcept {
    constexpr std::uint16_t quiet_nan = 0x7FC0;
    const auto bits = std::bit_cast<std::uint32_t>(value);
    return std::isnan(value) ? quiet_nan
                             : static_cast<std::uint16_t>((bits + 0x7FFFU + (bits >> 16 & 1U)) >> 16);
}

} // namespace petnet
