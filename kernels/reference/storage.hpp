// SPDX-License-Identifier: Apache-2.0
// How the reference backends store elements. All arithmetic is done in double, whatever the storage: a result
// is rounded once, where it is stored, and long sums need no care. So `reference` gives what a perfect
// float32 kernel would, and with `reference-double` nothing is rounded at all.
#pragma once

#include "base/float16.hpp"
#include "kernels/ops.hpp"

#include <cstdint>
#include <type_traits>

namespace petnet::kernels::reference {

// Layout 1: channels last. NHWC for activations, KRSC for the weights of convolutions.
inline constexpr std::uint32_t channels_last = 1;

struct bfloat16 {
    std::uint16_t bits;
};
struct float16 {
    std::uint16_t bits;
};

[[nodiscard]] inline double load(float value) noexcept { return static_cast<double>(value); }
[[nodiscard]] inline double load(double value) noexcept { return value; }
[[nodiscard]] inline double load(bfloat16 value) noexcept {
    return static_cast<double>(float_of_bfloat16(value.bits));
}
[[nodiscard]] inline double load(float16 value) noexcept {
    return static_cast<double>(float_of_half(value.bits));
}

// To nearest, ties to even. 16 bits by way of float32, as in a kernel whose arithmetic is float32.
inline void store(float& to, double value) noexcept { to = static_cast<float>(value); }
inline void store(double& to, double value) noexcept { to = value; }
inline void store(bfloat16& to, double value) noexcept {
    to.bits = bfloat16_of_float(static_cast<float>(value));
}
inline void store(float16& to, double value) noexcept { to.bits = half_of_float(static_cast<float>(value)); }

// The elements of a view; nullptr where it is absent.
template <class Element> [[nodiscard]] Element* elements(const tensor_view& view) noexcept {
    return reinterpret_cast<Element*>(view.data);
}

// Calls `run` with a value of the type that stores activations of this dtype, T being that of f32.
template <class T, class Run> decltype(auto) with_element(dtype type, const Run& run) {
    if constexpr (std::is_same_v<T, float>) {
        if (type == dtype::bf16) return run(bfloat16{});
        if (type == dtype::f16) return run(float16{});
    }
    return run(T{});
}

// NaN stays NaN.
[[nodiscard]] inline double relu(double value) noexcept { return value < 0 ? 0 : value; }

} // namespace petnet::kernels::reference
