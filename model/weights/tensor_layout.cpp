// SPDX-License-Identifier: Apache-2.0
#include "model/weights/tensor_layout.hpp"

#include <array>
#include <cstring>
#include <limits>

namespace petnet::model {
namespace {

template <std::size_t element_size>
void copy_elements(const std::byte* source, std::span<const std::int64_t> shape,
                   std::span<const std::int64_t> strides, std::byte* target) {
    const std::size_t outer = shape.size() - 1;
    const std::int64_t inner_count = shape[outer];
    const auto inner_step = strides[outer] * static_cast<std::int64_t>(element_size);
    std::array<std::int64_t, largest_rank> index{};
    for (;;) {
        for (std::int64_t i = 0; i < inner_count; ++i, target += element_size)
            std::memcpy(target, source + i * inner_step, element_size);
        std::size_t d = outer;
        for (;;) { // step the outer index like an odometer
            if (d == 0) return;
            --d;
            const auto step = strides[d] * static_cast<std::int64_t>(element_size);
            if (++index[d] < shape[d]) {
                source += step;
                break;
            }
            source -= step * (shape[d] - 1);
            index[d] = 0;
        }
    }
}

} // namespace

std::optional<std::uint64_t> contiguous_bytes(std::span<const std::int64_t> shape,
                                              std::size_t element_size) noexcept {
    // A dimension of 0 makes the product 0, but the others must still be numbers that fit.
    auto product = static_cast<std::int64_t>(element_size);
    bool empty = false;
    for (std::int64_t size : shape) {
        if (size < 0) return std::nullopt;
        if (size == 0)
            empty = true;
        else if (__builtin_mul_overflow(product, size, &product))
            return std::nullopt;
    }
    return empty ? 0 : static_cast<std::uint64_t>(product);
}

bool is_contiguous(std::span<const std::int64_t> shape, std::span<const std::int64_t> strides) noexcept {
    std::int64_t expected = 1;
    for (std::size_t d = shape.size(); d-- > 0;) {
        if (shape[d] == 1) continue;
        if (strides[d] != expected) return false;
        expected *= shape[d];
    }
    return true;
}

std::optional<std::uint64_t> strided_extent(std::span<const std::int64_t> shape,
                                            std::span<const std::int64_t> strides,
                                            std::int64_t offset) noexcept {
    if (offset < 0) return std::nullopt;
    std::int64_t last = offset;
    for (std::size_t d = 0; d < shape.size(); ++d) {
        std::int64_t reach = 0;
        if (strides[d] < 0 || shape[d] < 1 || __builtin_mul_overflow(shape[d] - 1, strides[d], &reach) ||
            __builtin_add_overflow(last, reach, &last))
            return std::nullopt;
    }
    if (last == std::numeric_limits<std::int64_t>::max()) return std::nullopt;
    return static_cast<std::uint64_t>(last) + 1;
}

void copy_row_major(const std::byte* source, std::span<const std::int64_t> shape,
                    std::span<const std::int64_t> strides, std::size_t element_size, std::byte* target) {
    switch (element_size) {
    case 1:
        return copy_elements<1>(source, shape, strides, target);
    case 2:
        return copy_elements<2>(source, shape, strides, target);
    case 4:
        return copy_elements<4>(source, shape, strides, target);
    default:
        return copy_elements<8>(source, shape, strides, target);
    }
}

std::string shape_text(std::span<const std::int64_t> shape) {
    std::string text = "[";
    for (std::int64_t size : shape) text += (text.size() > 1 ? ", " : "") + std::to_string(size);
    return text + "]";
}

std::string extents_text(std::span<const std::int64_t> shape) {
    std::string text;
    for (const std::int64_t extent : shape) text += (text.empty() ? "" : "x") + std::to_string(extent);
    return text.empty() ? "scalar" : text;
}

} // namespace petnet::model
