// SPDX-License-Identifier: Apache-2.0
#include "kernels/tensor.hpp"

#include <stdexcept>

namespace petnet::kernels {

const char* name_of(dtype type) noexcept {
    switch (type) {
    case dtype::f32:
        return "f32";
    case dtype::bf16:
        return "bf16";
    case dtype::f16:
        return "f16";
    case dtype::u8:
        return "u8";
    case dtype::i32:
        return "i32";
    case dtype::u64:
        return "u64";
    }
    return "unknown";
}

shape::shape(std::initializer_list<std::int64_t> extents) {
    if (extents.size() > max_rank)
        throw std::logic_error("a shape has at most " + std::to_string(max_rank) + " axes, not " +
                               std::to_string(extents.size()));
    for (const std::int64_t extent : extents) extents_[rank_++] = extent;
}

std::int64_t shape::elements() const noexcept {
    std::int64_t product = 1;
    for (std::size_t axis = 0; axis < rank_; ++axis) product *= extents_[axis];
    return product;
}

std::string shape::text() const {
    std::string text;
    for (std::size_t axis = 0; axis < rank_; ++axis) {
        if (axis > 0) text += 'x';
        text += std::to_string(extents_[axis]);
    }
    return text;
}

} // namespace petnet::kernels
