// SPDX-License-Identifier: Apache-2.0
// oneDNN, with the two generations of its interface (2.x and 3.x) made one.
#pragma once

#include "kernels/ops.hpp"

#include <dnnl.hpp>
#include <unordered_map>

namespace petnet::kernels::cpu {

using memory_desc = dnnl::memory::desc;
using format = dnnl::memory::format_tag;
using arguments = std::unordered_map<int, dnnl::memory>;

// Whether this processor has it, as far as the environment variable ONEDNN_MAX_CPU_ISA allows.
[[nodiscard]] bool onednn_allows(dnnl::cpu_isa isa);

[[nodiscard]] dnnl::memory::data_type onednn_type(dtype type);
[[nodiscard]] dnnl::memory::dims onednn_dims(const shape& dims);

// Primitive descriptors with the scratchpad left to the caller. dnnl::error where oneDNN has no
// implementation.
[[nodiscard]] dnnl::convolution_forward::primitive_desc
describe_forward(const dnnl::engine& engine, const convolution_shape& shape, const memory_desc& x,
                 const memory_desc& w, const memory_desc& y);
[[nodiscard]] dnnl::convolution_backward_data::primitive_desc
describe_backward_data(const dnnl::engine& engine, const convolution_shape& shape, const memory_desc& dx,
                       const memory_desc& w, const memory_desc& dy,
                       const dnnl::convolution_forward::primitive_desc& forward);
[[nodiscard]] dnnl::convolution_backward_weights::primitive_desc
describe_backward_weights(const dnnl::engine& engine, const convolution_shape& shape, const memory_desc& x,
                          const memory_desc& dw, const memory_desc& dy,
                          const dnnl::convolution_forward::primitive_desc& forward);
[[nodiscard]] dnnl::matmul::primitive_desc describe_matmul(const dnnl::engine& engine, const memory_desc& a,
                                                           const memory_desc& b, const memory_desc& c,
                                                           bool relu);

} // namespace petnet::kernels::cpu
