// SPDX-License-Identifier: Apache-2.0
// The rounded 16-bit copy behind a float32 weight tensor (layout.hpp), for the kernels that write it.
#pragma once

#include "kernels/cuda/element.cuh"
#include "kernels/cuda/layout.hpp"

#include <type_traits>

namespace petnet::kernels::cuda {

// Where the tensor's copy in this type begins; nullptr if it has none.
template <class Rounded> [[nodiscard]] Rounded* rounded_copy(const tensor_view& weights) noexcept {
    constexpr std::uint32_t flag = std::is_same_v<Rounded, bf16> ? bf16_copy_flag : f16_copy_flag;
    if ((weights.desc.layout & flag) == 0) return nullptr;
    return reinterpret_cast<Rounded*>(weights.data + rounded_copy_offset(weights.desc));
}

template <class Rounded, int Count>
__device__ pack<Rounded, Count> rounded(const pack<float, Count>& values) {
    pack<Rounded, Count> result;
    for (int j = 0; j < Count; ++j) result.at[j] = from_float<Rounded>(values.at[j]);
    return result;
}

} // namespace petnet::kernels::cuda
