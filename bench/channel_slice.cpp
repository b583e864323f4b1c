// SPDX-License-Identifier: Apache-2.0
#include "bench/channel_slice.hpp"

#include <algorithm>
#include <array>
#include <variant>

namespace petnet::bench {
namespace {

using namespace kernels;

struct channel_count {
    std::int64_t operator()(const convolution_forward& op) const { return op.shape.out_channels; }
    std::int64_t operator()(const convolution_backward_data& op) const { return op.shape.in_channels; }
    std::int64_t operator()(const convolution_backward_weights& op) const { return op.shape.out_channels; }
    std::int64_t operator()(const batch_norm_forward& op) const { return op.x.desc.dims[1]; }
    std::int64_t operator()(const batch_norm_inference& op) const { return op.x.desc.dims[1]; }
    std::int64_t operator()(const batch_norm_backward& op) const { return op.x.desc.dims[1]; }
    std::int64_t operator()(const max_pool_forward& op) const { return op.x.desc.dims[1]; }
    std::int64_t operator()(const max_pool_backward& op) const { return op.dx.desc.dims[1]; }
    std::int64_t operator()(const concat_pool_forward& op) const { return op.x.desc.dims[1]; }
    std::int64_t operator()(const concat_pool_backward& op) const { return op.dx.desc.dims[1]; }
    std::int64_t operator()(const auto&) const { return 0; }
};

bool is_concat_pool(const operation_params& op) {
    return std::holds_alternative<concat_pool_forward>(op) ||
           std::holds_alternative<concat_pool_backward>(op);
}

} // namespace

channel_axis channel_axis_of(const operation_params& op, std::string_view operand, const shape& dims) {
    if (std::holds_alternative<convolution_forward>(op)) {
        if (operand == "x") return {};
        return {.axis = operand == "w" ? 0 : 1};
    }
    if (std::holds_alternative<convolution_backward_data>(op)) {
        if (operand == "dy") return {};
        return {.axis = 1};
    }
    if (std::holds_alternative<convolution_backward_weights>(op)) {
        if (operand == "x") return {};
        return {.axis = operand == "dw" ? 0 : 1};
    }
    if (channels_of(op) == 0) return {};
    if (is_concat_pool(op) && dims.rank() == 2 && operand != "argmax") return {.axis = 1, .halves = true};
    return {.axis = dims.rank() == 1 ? 0 : 1};
}

std::int64_t channels_of(const operation_params& op) { return std::visit(channel_count{}, op); }

std::vector<std::int64_t> chosen_channels(std::int64_t channels) {
    std::vector<std::int64_t> chosen{0, channels / 3, 2 * channels / 3, channels - 1};
    chosen.erase(std::unique(chosen.begin(), chosen.end()), chosen.end());
    return chosen;
}

operation_params with_channels(operation_params op, std::int64_t channels) {
    if (auto* forward = std::get_if<convolution_forward>(&op)) forward->shape.out_channels = channels;
    if (auto* data = std::get_if<convolution_backward_data>(&op)) data->shape.in_channels = channels;
    if (auto* weights = std::get_if<convolution_backward_weights>(&op))
        weights->shape.out_channels = channels;
    return op;
}

shape with_extent(const shape& dims, std::size_t axis, std::int64_t extent) {
    std::array<std::int64_t, shape::max_rank> extents{};
    for (std::size_t i = 0; i < dims.rank(); ++i) extents[i] = i == axis ? extent : dims[i];
    switch (dims.rank()) {
    case 1:
        return {extents[0]};
    case 2:
        return {extents[0], extents[1]};
    case 3:
        return {extents[0], extents[1], extents[2]};
    default:
        return {extents[0], extents[1], extents[2], extents[3]};
    }
}

std::vector<std::byte> sliced(const std::vector<std::byte>& values, std::size_t size, const shape& dims,
                              std::size_t axis, const std::vector<std::int64_t>& chosen) {
    std::int64_t outer = 1, inner = 1;
    for (std::size_t i = 0; i < dims.rank(); ++i) (i < axis ? outer : inner) *= i == axis ? 1 : dims[i];
    const std::size_t row = static_cast<std::size_t>(inner) * size;
    std::vector<std::byte> kept;
    kept.reserve(static_cast<std::size_t>(outer) * chosen.size() * row);
    for (std::int64_t n = 0; n < outer; ++n)
        for (const std::int64_t place : chosen) {
            const auto from = values.begin() + static_cast<std::ptrdiff_t>(row) * (n * dims[axis] + place);
            kept.insert(kept.end(), from, from + static_cast<std::ptrdiff_t>(row));
        }
    return kept;
}

} // namespace petnet::bench
