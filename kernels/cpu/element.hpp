// SPDX-License-Identifier: Apache-2.0
// Elements of tensors to and from registers, for the sources that are compiled once for each instruction set:
// each has its own copy.
#pragma once

#include "kernels/cpu/bf16.hpp"

namespace petnet::kernels::cpu::PETNET_ISA {
namespace {

inline float load(float value) { return value; }
inline float load(bf16 value) {
    return __builtin_bit_cast(float, static_cast<std::uint32_t>(value.bits) << 16);
}

inline void store(float& place, float value) { place = value; }
inline void store(bf16& place, float value) {
    // Round to nearest even; a NaN keeps its high bits and is made quiet, so that rounding cannot turn it
    // into infinity.
    const auto bits = __builtin_bit_cast(std::uint32_t, value);
    const std::uint32_t rounded = (bits + 0x7FFFU + ((bits >> 16) & 1U)) >> 16;
    place.bits = static_cast<std::uint16_t>(value != value ? (bits >> 16) | 0x40U : rounded);
}

} // namespace
} // namespace petnet::kernels::cpu::PETNET_ISA
