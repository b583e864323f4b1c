// SPDX-License-Identifier: Apache-2.0
// Vectors as wide as the instruction set that PETNET_ISA names, for the loops that the compiler does not
// vectorise by itself; each of its sources has its own copy. Addresses need not be aligned.
#pragma once

#include "kernels/cpu/element.hpp"

#include <cstdint>

namespace petnet::kernels::cpu::PETNET_ISA {
namespace {

#if defined(__AVX512F__)
#define PETNET_VECTOR_BYTES 64
#elif defined(__AVX2__)
#define PETNET_VECTOR_BYTES 32
#else
#define PETNET_VECTOR_BYTES 16
#endif

inline constexpr std::int64_t vec_width = PETNET_VECTOR_BYTES / sizeof(float); // elements of a vector

using vec [[gnu::vector_size(PETNET_VECTOR_BYTES)]] = float;
using int_vec [[gnu::vector_size(PETNET_VECTOR_BYTES)]] = std::int32_t; // also what comparisons give: 0 or -1

// Loops are written for V, a vector or a single element.
template <typename V> struct lanes_of;
template <> struct lanes_of<float> {
    using ints = std::int32_t;
    static constexpr std::int64_t count = 1;
};
template <> struct lanes_of<vec> {
    using ints = int_vec;
    static constexpr std::int64_t count = vec_width;
};

// The same vectors at any address.
using vec_in_memory [[gnu::vector_size(PETNET_VECTOR_BYTES), gnu::aligned(4), gnu::may_alias]] = float;
using bits_vec [[gnu::vector_size(PETNET_VECTOR_BYTES)]] = std::uint32_t;
using halves_in_memory [[gnu::vector_size(PETNET_VECTOR_BYTES / 2), gnu::aligned(2), gnu::may_alias]] =
    std::uint16_t;
using bytes_in_memory [[gnu::vector_size(PETNET_VECTOR_BYTES / 4), gnu::aligned(1), gnu::may_alias]] =
    std::uint8_t;

template <typename V, typename T> inline V load_as(const T* from) {
    if constexpr (lanes_of<V>::count == 1)
        return load(*from);
    else if constexpr (sizeof(T) == sizeof(float))
        return *reinterpret_cast<const vec_in_memory*>(from);
    else
        return reinterpret_cast<vec>(
            __builtin_convertvector(*reinterpret_cast<const halves_in_memory*>(from), bits_vec) << 16);
}

template <typename V, typename T> inline void store_as(T* to, V value) {
    if constexpr (lanes_of<V>::count == 1) {
        store(*to, value);
    } else if constexpr (sizeof(T) == sizeof(float)) {
        *reinterpret_cast<vec_in_memory*>(to) = value;
    } else { // rounded as in element.hpp
        const auto bits = reinterpret_cast<bits_vec>(value);
        const auto nan = (bits & 0x7FFFFFFFU) > 0x7F800000U;
        const bits_vec rounded = (bits + 0x7FFFU + ((bits >> 16) & 1U)) >> 16;
        *reinterpret_cast<halves_in_memory*>(to) =
            __builtin_convertvector(nan ? (bits >> 16) | 0x40U : rounded, halves_in_memory);
    }
}

template <typename V> inline typename lanes_of<V>::ints load_bytes_as(const std::uint8_t* from) {
    if constexpr (lanes_of<V>::count == 1)
        return *from;
    else
        return __builtin_convertvector(*reinterpret_cast<const bytes_in_memory*>(from), int_vec);
}

template <typename V> inline void store_bytes_as(std::uint8_t* to, typename lanes_of<V>::ints values) {
    if constexpr (lanes_of<V>::count == 1)
        *to = static_cast<std::uint8_t>(values);
    else
        *reinterpret_cast<bytes_in_memory*>(to) = __builtin_convertvector(values, bytes_in_memory);
}

// Calls body(V{}, first channel): for whole vectors, then for what is left one by one.
template <typename Body> inline void for_lanes(std::int64_t channels, const Body& body) {
    std::int64_t c = 0;
    for (; c + vec_width <= channels; c += vec_width) body(vec{}, c);
    for (; c < channels; ++c) body(float{}, c);
}

} // namespace
} // namespace petnet::kernels::cpu::PETNET_ISA
