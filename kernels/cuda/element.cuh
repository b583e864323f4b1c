// SPDX-License-Identifier: Apache-2.0
// Elements of activations in device code: types, conversion, packs of 16 bytes. Arithmetic is always float32.
#pragma once

#include "kernels/tensor.hpp"

#include <cstdint>
#include <cuda_bf16.h>
#include <cuda_fp16.h>
#include <stdexcept>

namespace petnet::kernels::cuda {

using bf16 = __nv_bfloat16;
using f16 = __half;

__host__ __device__ inline float to_float(float value) { return value; }
__host__ __device__ inline float to_float(bf16 value) { return __bfloat162float(value); }
__host__ __device__ inline float to_float(f16 value) { return __half2float(value); }

// To nearest, ties to even; beyond float16's range to infinity.
template <class Element> __host__ __device__ Element from_float(float value);
template <> __host__ __device__ inline float from_float<float>(float value) { return value; }
template <> __host__ __device__ inline bf16 from_float<bf16>(float value) {
    return __float2bfloat16_rn(value);
}
template <> __host__ __device__ inline f16 from_float<f16>(float value) { return __float2half_rn(value); }

// NaN stays NaN, as in PyTorch.
__host__ __device__ inline float relu(float value) { return value < 0.0F ? 0.0F : value; }

// Neighbouring elements that are loaded and stored as one access.
template <class Element, int Count> struct alignas(sizeof(Element) * Count) pack {
    Element at[std::size_t{Count}]; // g++ warns of the sign of a plain int
};

template <int Count, class Element> __device__ pack<Element, Count> load_pack(const Element* from) {
    return *reinterpret_cast<const pack<Element, Count>*>(from);
}
template <int Count, class Element>
__device__ void store_pack(Element* to, const pack<Element, Count>& value) {
    *reinterpret_cast<pack<Element, Count>*>(to) = value;
}

// Calls run(Element{}, integral_constant<int, Count>) for activations of this dtype with this many stored
// channels: 16-byte packs where channels come in whole ones (8 of 16 bits, 4 of float32), else 4 channels.
template <class Run> decltype(auto) with_element(dtype type, std::int64_t stored_channels, const Run& run) {
    const bool by_8 = stored_channels % 8 == 0;
    switch (type) {
    case dtype::f32:
        return run(float{}, std::integral_constant<int, 4>{});
    case dtype::bf16:
        return by_8 ? run(bf16{}, std::integral_constant<int, 8>{})
                    : run(bf16{}, std::integral_constant<int, 4>{});
    case dtype::f16:
        return by_8 ? run(f16{}, std::integral_constant<int, 8>{})
                    : run(f16{}, std::integral_constant<int, 4>{});
    default:
        throw std::logic_error(std::string("no activations of dtype ") + name_of(type));
    }
}

} // namespace petnet::kernels::cuda
