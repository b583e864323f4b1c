// SPDX-License-Identifier: Apache-2.0
#include "kernels/cpu/context.hpp"

#include "kernels/cpu/instruction_set.hpp"
#include "kernels/cpu/winograd.hpp"

#include <omp.h>
#include <stdexcept>

namespace petnet::kernels::cpu {
namespace {

bool has_avx512() { return widest_instruction_set() == instruction_set::avx512; }

} // namespace

context::context(int threads) : engine_(dnnl::engine::kind::cpu, 0), stream_(engine_), threads_(threads) {
    native_bf16_ = onednn_allows(dnnl::cpu_isa::avx512_core_bf16);
    matrix_bf16_ = onednn_allows(dnnl::cpu_isa::avx512_core_amx);
    fast_bf16_ = matrix_bf16_ || (native_bf16_ && __builtin_cpu_is("amd") != 0);
    omp_set_num_threads(threads_);
}

// Measured with oneDNN 2.6 and ResNet-34's shapes: with AVX-512 f32 and with AMX bf16, channels-last is as
// fast as the blocked layout or faster, and winograd.hpp, which makes most of f32 with AVX2 as well, reads
// nothing else; bf16 without AMX, and f32 without AVX2, need the blocked one.
std::uint32_t context::activation_layout(dtype type, std::int64_t channels) const noexcept {
    const bool blocked =
        type == dtype::bf16 ? !matrix_bf16_ : widest_instruction_set() == instruction_set::baseline;
    if (!blocked) return channels_last;
    const std::int64_t block = has_avx512() ? 16 : 8;
    if (channels % block != 0)
        return row_major; // the photograph: oneDNN's first convolutions read it plane by plane
    return block == 16 ? blocked_by_16 : blocked_by_8;
}

tensor_desc context::convolution_weights(const convolution_shape& shape, dtype activations) {
    const auto id = [](std::size_t index) {
        return static_cast<std::uint32_t>(first_weights_layout + index);
    };
    for (std::size_t i = 0; i < weights_.size(); ++i)
        if (weights_[i].dims == shape.w() && weights_[i].stride == shape.stride &&
            weights_[i].padding == shape.padding && weights_[i].activations == activations)
            return {dtype::f32, shape.w(), id(i)};
    memory_desc desc(onednn_dims(shape.w()), dnnl::memory::data_type::f32, format::oihw);
    // f32 primitives read the master weights in place, so these are kept as the forward one likes them. bf16
    // primitives need a rounded copy in any case, and oneDNN copies fastest from the plain layout.
    if (winograd_weights(shape, activations)) {
        desc = memory_desc(onednn_dims(shape.w()), dnnl::memory::data_type::f32, format::hwio);
    } else if (activations == dtype::f32) {
        convolution_shape typical = shape;
        if (typical.batch <= 0) typical.batch = 1;
        if (typical.height <= 0) typical.height = typical.width = 56;
        const auto activation = [&](const petnet::kernels::shape& dims) {
            return describe({dtype::f32, dims, activation_layout(dtype::f32, dims[1])});
        };
        const memory_desc any(onednn_dims(shape.w()), dnnl::memory::data_type::f32, format::any);
        desc = describe_forward(engine_, typical, activation(typical.x()), any, activation(typical.y()))
                   .weights_desc();
    }
    weights_.push_back({shape.w(), shape.stride, shape.padding, activations, desc});
    return {dtype::f32, shape.w(), id(weights_.size() - 1)};
}

memory_desc context::describe(const tensor_desc& desc) const {
    if (desc.layout >= first_weights_layout) return weights_.at(desc.layout - first_weights_layout).desc;
    format tag = format::undef;
    switch (desc.layout) {
    case row_major: {
        constexpr format tags[] = {format::undef, format::a, format::ab, format::abc, format::abcd};
        tag = tags[desc.dims.rank()];
        break;
    }
    case channels_last:
        tag = format::nhwc;
        break;
    case blocked_by_8:
        tag = format::nChw8c;
        break;
    case blocked_by_16:
        tag = format::nChw16c;
        break;
    default:
        throw std::logic_error("the cpu backend has no such layout");
    }
    return {onednn_dims(desc.dims), onednn_type(desc.type), tag};
}

dnnl::memory context::memory(const tensor_view& view) const {
    return {describe(view.desc), engine_, view.data};
}

row_view rows_of(const tensor_desc& desc) {
    const shape& d = desc.dims;
    if (d.rank() == 2) return {1, d[0], d[1], 1};
    switch (desc.layout) {
    case row_major:
        return {d[0] * d[1], d[2] * d[3], 1, d[1]};
    case channels_last:
        return {1, d[0] * d[2] * d[3], d[1], 1};
    case blocked_by_8:
        return {d[0] * (d[1] / 8), d[2] * d[3], 8, d[1] / 8};
    case blocked_by_16:
        return {d[0] * (d[1] / 16), d[2] * d[3], 16, d[1] / 16};
    default:
        throw std::logic_error("not an activation of the cpu backend");
    }
}

} // namespace petnet::kernels::cpu
