// SPDX-License-Identifier: Apache-2.0
#include "tests/support/test_tensors.hpp"

#include "tests/support/fill.hpp"

#include <algorithm>

namespace petnet::testing {
namespace {

constexpr std::size_t guard_size = 64;
// A guard that is read by mistake is a huge number in 32 bits, which no ReLU makes 0, or NaN.
constexpr std::byte guard{0x7F}, poison{0xFF};

// Raw memory of any device, by way of a u8 tensor.
tensor_view raw(std::byte* data, std::size_t size) {
    return {{dtype::u8, {static_cast<std::int64_t>(size)}}, data};
}

} // namespace

tensor_desc test_tensors::describe(const shape& dims) const {
    return dims.rank() == shape::max_rank ? on_.activation(activations_, dims)
                                          : tensor_desc{dtype::f32, dims};
}

test_tensors::guarded test_tensors::make_guarded(std::size_t size) {
    guarded made{on_.allocate(size + guard_size), size};
    std::vector<std::byte> content(size + guard_size, poison);
    std::fill_n(content.begin() + static_cast<std::ptrdiff_t>(size), guard_size, guard);
    on_.write_bytes(raw(made.memory.get(), content.size()), content);
    return made;
}

bool test_tensors::guard_intact(const guarded& tensor) {
    std::vector<std::byte> content(tensor.size + guard_size);
    on_.read_bytes(raw(tensor.memory.get(), content.size()), content);
    return std::all_of(content.begin() + static_cast<std::ptrdiff_t>(tensor.size), content.end(),
                       [](std::byte value) { return value == guard; });
}

tensor_view test_tensors::output(const tensor_desc& desc) {
    memories_.push_back(make_guarded(on_.storage_bytes(desc)));
    return {desc, memories_.back().memory.get()};
}

tensor_view test_tensors::output(const shape& dims) { return output(describe(dims)); }

tensor_view test_tensors::weights_output(const convolution_shape& shape) {
    return output(on_.convolution_weights(shape, activations_));
}

tensor_view test_tensors::filled(const tensor_desc& desc, std::span<const double> values, dtype precision) {
    std::vector<double> rounded(values.begin(), values.end());
    if (precision == dtype::bf16) std::ranges::transform(rounded, rounded.begin(), rounded_to_bf16);
    if (precision == dtype::f16) std::ranges::transform(rounded, rounded.begin(), rounded_to_f16);
    const tensor_view view = output(desc);
    on_.write(view, std::span<const double>(rounded));
    return view;
}

tensor_view test_tensors::input(const shape& dims, std::span<const double> values) {
    return filled(describe(dims), values, dims.rank() == shape::max_rank ? precision_ : dtype::f32);
}

tensor_view test_tensors::input(std::string_view name, const shape& dims, double deviation, double mean) {
    auto values = normal_values(static_cast<std::size_t>(dims.elements()), name, deviation, mean);
    std::ranges::transform(values, values.begin(), rounded_to_f32);
    return input(dims, values);
}

tensor_view test_tensors::weights(const convolution_shape& shape, std::span<const double> values) {
    return filled(on_.convolution_weights(shape, activations_), values, precision_);
}

tensor_view test_tensors::weights(std::string_view name, const convolution_shape& shape, double deviation) {
    auto values = normal_values(static_cast<std::size_t>(shape.w().elements()), name, deviation);
    std::ranges::transform(values, values.begin(), rounded_to_f32);
    return weights(shape, values);
}

tensor_view test_tensors::bytes(dtype type, const shape& dims, std::span<const std::byte> bytes) {
    const tensor_view view = output(tensor_desc{type, dims});
    on_.write_bytes(view, bytes);
    return view;
}

void test_tensors::execute(operation& prepared) {
    const guarded workspace = make_guarded(prepared.workspace_bytes());
    prepared.execute(workspace.memory.get());
    workspaces_intact_ = guard_intact(workspace) && workspaces_intact_;
}

std::vector<double> test_tensors::values(const tensor_view& view) {
    std::vector<double> values(static_cast<std::size_t>(view.desc.dims.elements()));
    on_.read(view, std::span(values));
    return values;
}

std::vector<std::byte> test_tensors::bytes(const tensor_view& view) {
    std::vector<std::byte> bytes(on_.storage_bytes(view.desc));
    on_.read_bytes(view, bytes);
    return bytes;
}

bool test_tensors::guards_intact() {
    return workspaces_intact_ &&
           std::ranges::all_of(memories_, [&](const guarded& tensor) { return guard_intact(tensor); });
}

} // namespace petnet::testing
