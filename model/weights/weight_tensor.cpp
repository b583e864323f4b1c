// SPDX-License-Identifier: Apache-2.0
// Element types of weight files and their values as float32 and float64.
#include "base/float16.hpp"
#include "model/weights/tensor_layout.hpp"
#include "model/weights/weight_file.hpp"

#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <cstring>
#include <limits>
#include <stdexcept>

namespace petnet::model {
namespace {

struct dtype_facts {
    std::size_t size;
    std::string_view name;
};
constexpr std::array<dtype_facts, 10> facts = {{{8, "float64"},
                                                {4, "float32"},
                                                {2, "float16"},
                                                {2, "bfloat16"},
                                                {8, "int64"},
                                                {4, "int32"},
                                                {2, "int16"},
                                                {1, "int8"},
                                                {1, "uint8"},
                                                {1, "bool"}}};

// The nearest float32; what is beyond the largest becomes infinite, as in PyTorch.
float rounded(double value) {
    // Halfway between the largest float32 and the next power of two: from here on rounding goes up.
    constexpr double overflow = 0x1.ffffffp127;
    if (std::abs(value) >= overflow)
        return std::copysign(std::numeric_limits<float>::infinity(),
                             static_cast<float>(std::copysign(1.0, value)));
    return static_cast<float>(value);
}

template <typename stored, typename result, typename convert>
void convert_all(std::span<const std::byte> bytes, std::span<result> out, convert&& one) {
    for (std::size_t i = 0; i < out.size(); ++i) {
        stored value;
        std::memcpy(&value, bytes.data() + i * sizeof value, sizeof value);
        out[i] = static_cast<result>(one(value));
    }
}

template <typename result> void values_of(const weight_tensor& tensor, std::span<result> out) {
    const auto bytes = tensor.bytes;
    if (out.empty()) return;
    const auto same = [](auto value) { return static_cast<result>(value); };
    switch (tensor.dtype) {
    case weight_dtype::f64:
        if constexpr (std::is_same_v<result, float>)
            return convert_all<double>(bytes, out, rounded);
        else
            return convert_all<double>(bytes, out, same);
    case weight_dtype::f32:
        if constexpr (std::is_same_v<result, float>) {
            std::memcpy(out.data(), bytes.data(), out.size_bytes());
            return;
        } else {
            return convert_all<float>(bytes, out, same);
        }
    case weight_dtype::f16:
        return convert_all<std::uint16_t>(bytes, out, float_of_half);
    case weight_dtype::bf16:
        return convert_all<std::uint16_t>(bytes, out, float_of_bfloat16);
    case weight_dtype::i64:
        return convert_all<std::int64_t>(bytes, out, same);
    case weight_dtype::i32:
        return convert_all<std::int32_t>(bytes, out, same);
    case weight_dtype::i16:
        return convert_all<std::int16_t>(bytes, out, same);
    case weight_dtype::i8:
        return convert_all<std::int8_t>(bytes, out, same);
    case weight_dtype::u8:
        return convert_all<std::uint8_t>(bytes, out, same);
    case weight_dtype::boolean:
        return convert_all<std::uint8_t>(bytes, out,
                                         [](std::uint8_t value) { return value != 0 ? 1.0f : 0.0f; });
    }
}

} // namespace

std::size_t element_size(weight_dtype dtype) noexcept { return facts[static_cast<std::size_t>(dtype)].size; }
std::string_view to_string(weight_dtype dtype) noexcept {
    return facts[static_cast<std::size_t>(dtype)].name;
}

void weight_tensor::to_float32(std::span<float> out) const {
    if (out.size() != element_count())
        throw std::invalid_argument(name + " has " + std::to_string(element_count()) + " elements, not " +
                                    std::to_string(out.size()));
    values_of(*this, out);
}

std::vector<float> weight_tensor::to_float32() const {
    std::vector<float> values(element_count());
    to_float32(values);
    return values;
}

std::vector<double> weight_tensor::to_float64() const {
    std::vector<double> values(element_count());
    values_of(*this, std::span(values));
    return values;
}

weight_tensor float32_tensor(std::string name, std::vector<std::int64_t> shape,
                             std::span<const float> values) {
    if (contiguous_bytes(shape, sizeof(float)) != values.size_bytes())
        throw std::invalid_argument(name + " has " + std::to_string(values.size()) + " values for shape " +
                                    shape_text(shape));
    return {std::move(name), weight_dtype::f32, std::move(shape), std::as_bytes(values), nullptr};
}

const weight_tensor* weight_file::find(std::string_view name) const noexcept {
    const auto found =
        std::find_if(tensors.begin(), tensors.end(), [&](const auto& t) { return t.name == name; });
    return found == tensors.end() ? nullptr : &*found;
}

} // namespace petnet::model
