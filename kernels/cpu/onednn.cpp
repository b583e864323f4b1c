// SPDX-License-Identifier: Apache-2.0
#include "kernels/cpu/onednn.hpp"

#include <stdexcept>

namespace petnet::kernels::cpu {
namespace {

dnnl::primitive_attr caller_scratchpad() {
    dnnl::primitive_attr attributes;
    attributes.set_scratchpad_mode(dnnl::scratchpad_mode::user);
    return attributes;
}

// Strides and padding in oneDNN's form.
struct geometry {
    dnnl::memory::dims strides, padding;
    explicit geometry(const convolution_shape& s)
        : strides{s.stride, s.stride}, padding{s.padding, s.padding} {}
};

constexpr auto direct = dnnl::algorithm::convolution_direct;

} // namespace

bool onednn_allows(dnnl::cpu_isa isa) {
    const auto allowed = static_cast<unsigned>(dnnl::get_effective_cpu_isa());
    return (allowed & static_cast<unsigned>(isa)) == static_cast<unsigned>(isa);
}

dnnl::memory::data_type onednn_type(dtype type) {
    switch (type) {
    case dtype::f32:
        return dnnl::memory::data_type::f32;
    case dtype::bf16:
        return dnnl::memory::data_type::bf16;
    case dtype::u8:
        return dnnl::memory::data_type::u8;
    case dtype::i32:
        return dnnl::memory::data_type::s32;
    case dtype::f16:
    case dtype::u64:
        break;
    }
    throw std::logic_error(std::string("the cpu backend has no ") + name_of(type));
}

dnnl::memory::dims onednn_dims(const shape& dims) {
    dnnl::memory::dims result;
    for (std::size_t axis = 0; axis < dims.rank(); ++axis) result.push_back(dims[axis]);
    return result;
}

#if DNNL_VERSION_MAJOR >= 3

dnnl::convolution_forward::primitive_desc describe_forward(const dnnl::engine& engine,
                                                           const convolution_shape& shape,
                                                           const memory_desc& x, const memory_desc& w,
                                                           const memory_desc& y) {
    const geometry g(shape);
    return {engine,    dnnl::prop_kind::forward_training,
            direct,    x,
            w,         y,
            g.strides, g.padding,
            g.padding, caller_scratchpad()};
}

dnnl::convolution_backward_data::primitive_desc
describe_backward_data(const dnnl::engine& engine, const convolution_shape& shape, const memory_desc& dx,
                       const memory_desc& w, const memory_desc& dy,
                       const dnnl::convolution_forward::primitive_desc& forward) {
    const geometry g(shape);
    return {engine, direct, dx, w, dy, g.strides, g.padding, g.padding, forward, caller_scratchpad()};
}

dnnl::convolution_backward_weights::primitive_desc
describe_backward_weights(const dnnl::engine& engine, const convolution_shape& shape, const memory_desc& x,
                          const memory_desc& dw, const memory_desc& dy,
                          const dnnl::convolution_forward::primitive_desc& forward) {
    const geometry g(shape);
    return {engine, direct, x, dw, dy, g.strides, g.padding, g.padding, forward, caller_scratchpad()};
}

dnnl::matmul::primitive_desc describe_matmul(const dnnl::engine& engine, const memory_desc& a,
                                             const memory_desc& b, const memory_desc& c, bool relu) {
    dnnl::primitive_attr attributes = caller_scratchpad();
    dnnl::post_ops after;
    if (relu) after.append_eltwise(dnnl::algorithm::eltwise_relu, 0.0F, 0.0F);
    attributes.set_post_ops(after);
    return {engine, a, b, c, attributes};
}

#else

dnnl::convolution_forward::primitive_desc describe_forward(const dnnl::engine& engine,
                                                           const convolution_shape& shape,
                                                           const memory_desc& x, const memory_desc& w,
                                                           const memory_desc& y) {
    const geometry g(shape);
    return {{dnnl::prop_kind::forward_training, direct, x, w, y, g.strides, g.padding, g.padding},
            caller_scratchpad(),
            engine};
}

dnnl::convolution_backward_data::primitive_desc
describe_backward_data(const dnnl::engine& engine, const convolution_shape& shape, const memory_desc& dx,
                       const memory_desc& w, const memory_desc& dy,
                       const dnnl::convolution_forward::primitive_desc& forward) {
    const geometry g(shape);
    return {{direct, dx, w, dy, g.strides, g.padding, g.padding}, caller_scratchpad(), engine, forward};
}

dnnl::convolution_backward_weights::primitive_desc
describe_backward_weights(const dnnl::engine& engine, const convolution_shape& shape, const memory_desc& x,
                          const memory_desc& dw, const memory_desc& dy,
                          const dnnl::convolution_forward::primitive_desc& forward) {
    const geometry g(shape);
    return {{direct, x, dw, dy, g.strides, g.padding, g.padding}, caller_scratchpad(), engine, forward};
}

dnnl::matmul::primitive_desc describe_matmul(const dnnl::engine& engine, const memory_desc& a,
                                             const memory_desc& b, const memory_desc& c, bool relu) {
    dnnl::primitive_attr attributes = caller_scratchpad();
    dnnl::post_ops after;
    if (relu) after.append_eltwise(1.0F, dnnl::algorithm::eltwise_relu, 0.0F, 0.0F);
    attributes.set_post_ops(after);
    return {{a, b, c}, attributes, engine};
}

#endif

} // namespace petnet::kernels::cpu
