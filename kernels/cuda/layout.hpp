// SPDX-License-Identifier: Apache-2.0
// What tensor_desc::layout means on `cuda`. Plain C++: no CUDA headers.
//
// Activations and convolution weights are stored channels last (NHWC, KRSC), their channels padded with zeros
// so that a row of channels is a whole number of packs (16 bytes; at least 4 channels). Weights are padded in
// both of their channel axes. In 16-bit precision a weight tensor's float32 master is followed by its rounded
// copy, which `write` and `adam_step` keep equal to it and the convolutions read: frozen weights are rounded
// once.
#pragma once

#include "kernels/ops.hpp"

#include <cstddef>
#include <cstdint>

namespace petnet::kernels::cuda {

// 0: row-major. Else the number of stored channels (of the innermost axis) with flags above it.
inline constexpr std::uint32_t row_major = 0;
inline constexpr std::uint32_t weights_flag = 1U << 16, bf16_copy_flag = 1U << 17, f16_copy_flag = 1U << 18;

[[nodiscard]] constexpr std::int64_t divide_up(std::int64_t count, std::int64_t by) noexcept {
    return (count + by - 1) / by;
}

[[nodiscard]] constexpr std::size_t element_bytes(dtype type) noexcept {
    switch (type) {
    case dtype::u8:
        return 1;
    case dtype::bf16:
    case dtype::f16:
        return 2;
    case dtype::f32:
    case dtype::i32:
        return 4;
    case dtype::u64:
        break;
    }
    return 8;
}

// Channels as stored: a multiple of 4, and from 8 channels on of 8. (Images have 3: 4 of them cost half the
// arithmetic of 8, and NVIDIA's own ResNet-50 runs used 4.)
[[nodiscard]] constexpr std::int64_t padded_channels(std::int64_t channels) noexcept {
    return channels <= 4 ? 4 : (channels + 7) / 8 * 8;
}

[[nodiscard]] constexpr std::int64_t stored_channels(const tensor_desc& desc) noexcept {
    return static_cast<std::int64_t>(desc.layout & 0xFFFFU);
}
[[nodiscard]] constexpr bool is_weights(const tensor_desc& desc) noexcept {
    return (desc.layout & weights_flag) != 0;
}
[[nodiscard]] constexpr bool has_rounded_copy(const tensor_desc& desc) noexcept {
    return (desc.layout & (bf16_copy_flag | f16_copy_flag)) != 0;
}
// Whether a vector of its channels has as many elements as cuDNN reads: no padding.
[[nodiscard]] constexpr bool has_whole_rows(const tensor_desc& activation) noexcept {
    return stored_channels(activation) == activation.dims[1];
}
// Elements of the stored tensor, padding included, the rounded copy not.
[[nodiscard]] constexpr std::int64_t stored_elements(const tensor_desc& desc) noexcept {
    std::int64_t count = 1;
    for (std::size_t axis = 0; axis < desc.dims.rank(); ++axis) count *= desc.dims[axis];
    if (desc.layout == row_major) return count;
    count = count / desc.dims[1] * stored_channels(desc);
    return is_weights(desc) ? count / desc.dims[0] * padded_channels(desc.dims[0]) : count;
}
// Where the rounded copy begins: after the master, both aligned to 16 bytes as channels come in packs.
[[nodiscard]] constexpr std::size_t rounded_copy_offset(const tensor_desc& desc) noexcept {
    return static_cast<std::size_t>(stored_elements(desc)) * sizeof(float);
}
[[nodiscard]] constexpr std::size_t stored_bytes(const tensor_desc& desc) noexcept {
    const auto count = static_cast<std::size_t>(stored_elements(desc));
    return count * element_bytes(desc.type) + (has_rounded_copy(desc) ? count * 2 : 0);
}

// The layouts of backend::activation() and backend::convolution_weights().
[[nodiscard]] inline tensor_desc activation_desc(dtype type, const shape& dims) {
    if (dims.rank() != shape::max_rank) return {type, dims, row_major};
    return {type, dims, static_cast<std::uint32_t>(padded_channels(dims[1]))};
}
[[nodiscard]] inline tensor_desc weights_desc(const convolution_shape& shape, dtype activations) {
    std::uint32_t layout = static_cast<std::uint32_t>(padded_channels(shape.in_channels)) | weights_flag;
    if (activations == dtype::bf16) layout |= bf16_copy_flag;
    if (activations == dtype::f16) layout |= f16_copy_flag;
    return {dtype::f32, shape.w(), layout};
}

} // namespace petnet::kernels::cuda
