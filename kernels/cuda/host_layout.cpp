// SPDX-License-Identifier: Apache-2.0
#include "kernels/cuda/host_layout.hpp"

#include "base/float16.hpp"
#include "kernels/cuda/layout.hpp"

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <stdexcept>
#include <string>

namespace petnet::kernels::cuda {
namespace {

struct bits_of_bf16 {
    using stored = std::uint16_t;
    static stored encode(float value) { return bfloat16_of_float(value); }
    static float decode(stored bits) { return float_of_bfloat16(bits); }
};
struct bits_of_f16 {
    using stored = std::uint16_t;
    static stored encode(float value) { return half_of_float(value); }
    static float decode(stored bits) { return float_of_half(bits); }
};
struct bits_of_f32 {
    using stored = float;
    static stored encode(float value) { return value; }
    static float decode(stored value) { return value; }
};

template <class Run> void with_format(dtype type, const Run& run) {
    switch (type) {
    case dtype::f32:
        return run(bits_of_f32{});
    case dtype::bf16:
        return run(bits_of_bf16{});
    case dtype::f16:
        return run(bits_of_f16{});
    default:
        throw std::logic_error(std::string("the cuda backend: a tensor of ") + name_of(type) +
                               " is read and written as bytes");
    }
}

// Where each element of the row-major order lies: visit(row-major index, storage index). (n, c, h, w) of
// activations and (k, c, r, s) of weights go the same way: channels last, padded.
template <class Visit> void for_each_place(const tensor_desc& desc, const Visit& visit) {
    const shape& dims = desc.dims;
    if (desc.layout == row_major) {
        for (std::int64_t i = 0; i < dims.elements(); ++i) visit(i, i);
        return;
    }
    const std::int64_t stored = stored_channels(desc), plane = dims[2] * dims[3];
    for (std::int64_t n = 0, i = 0; n < dims[0]; ++n)
        for (std::int64_t c = 0; c < dims[1]; ++c)
            for (std::int64_t at = 0; at < plane; ++at, ++i) visit(i, (n * plane + at) * stored + c);
}

void require_sizes(const tensor_desc& desc, std::size_t values, std::size_t bytes) {
    if (values == static_cast<std::size_t>(desc.dims.elements()) && bytes == stored_bytes(desc)) return;
    throw std::logic_error("the cuda backend: a " + desc.dims.text() + " tensor has not " +
                           std::to_string(values) + " values");
}

template <class Format, class Value>
void encode(const tensor_desc& desc, std::span<const Value> values, std::byte* storage) {
    for_each_place(desc, [&](std::int64_t i, std::int64_t place) {
        const auto stored = Format::encode(static_cast<float>(values[static_cast<std::size_t>(i)]));
        std::memcpy(storage + static_cast<std::size_t>(place) * sizeof stored, &stored, sizeof stored);
    });
}

} // namespace

template <class Value>
void to_storage(const tensor_desc& desc, std::span<const Value> values, std::span<std::byte> storage) {
    require_sizes(desc, values.size(), storage.size());
    std::ranges::fill(storage, std::byte{0});
    with_format(desc.type, [&]<class Format>(Format) { encode<Format>(desc, values, storage.data()); });
    std::byte* copy = storage.data() + rounded_copy_offset(desc);
    if ((desc.layout & bf16_copy_flag) != 0) encode<bits_of_bf16>(desc, values, copy);
    if ((desc.layout & f16_copy_flag) != 0) encode<bits_of_f16>(desc, values, copy);
}

template <class Value>
void from_storage(const tensor_desc& desc, std::span<const std::byte> storage, std::span<Value> values) {
    require_sizes(desc, values.size(), storage.size());
    with_format(desc.type, [&]<class Format>(Format) {
        for_each_place(desc, [&](std::int64_t i, std::int64_t place) {
            typename Format::stored stored;
            std::memcpy(&stored, storage.data() + static_cast<std::size_t>(place) * sizeof stored,
                        sizeof stored);
            values[static_cast<std::size_t>(i)] = static_cast<Value>(Format::decode(stored));
        });
    });
}

template void to_storage(const tensor_desc&, std::span<const float>, std::span<std::byte>);
template void to_storage(const tensor_desc&, std::span<const double>, std::span<std::byte>);
template void from_storage(const tensor_desc&, std::span<const std::byte>, std::span<float>);
template void from_storage(const tensor_desc&, std::span<const std::byte>, std::span<double>);

} // namespace petnet::kernels::cuda
