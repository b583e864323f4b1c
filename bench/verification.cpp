// SPDX-License-Identifier: Apache-2.0
#include "bench/verification.hpp"

#include "bench/channel_slice.hpp"
#include "kernels/tolerance.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <list>
#include <span>
#include <variant>

namespace petnet::bench {
namespace {

using namespace kernels;

std::size_t host_bytes(dtype type) {
    return type == dtype::u8 ? 1 : type == dtype::u64 ? 8 : 4; // floating-point values are float32
}

std::span<const float> floats(const host_tensor& tensor) {
    return {reinterpret_cast<const float*>(tensor.data.data()), tensor.data.size() / sizeof(float)};
}

host_tensor read_tensor(backend& device, const tensor_view& view) {
    host_tensor read{view.desc.dims, {}};
    const auto count = static_cast<std::size_t>(view.desc.dims.elements());
    if (is_floating(view.desc.type)) {
        read.data.resize(count * sizeof(float));
        device.read(view, std::span(reinterpret_cast<float*>(read.data.data()), count));
    } else if (view.desc.layout == 0) {
        read.data.resize(count * host_bytes(view.desc.type));
        device.read_bytes(view, read.data);
    }
    return read;
}

// Memory of the reference backend, for as long as one operation is judged.
class oracle {
  public:
    oracle() : reference_(make_backend("reference")) {}

    [[nodiscard]] tensor_view place(const tensor_desc& desc) {
        memories_.push_back(reference_->allocate(reference_->storage_bytes(desc)));
        return {desc, memories_.back().get()};
    }
    [[nodiscard]] tensor_view filled(const tensor_desc& desc, const host_tensor& values) {
        const tensor_view view = place(desc);
        if (is_floating(desc.type))
            reference_->write(view, floats(values));
        else
            reference_->write_bytes(view, values.data);
        return view;
    }
    void run(const operation_params& op) {
        const auto prepared = reference_->prepare(op);
        const device_memory workspace = reference_->allocate(prepared->workspace_bytes());
        prepared->execute(workspace.get());
    }
    [[nodiscard]] host_tensor read(const tensor_view& view) { return read_tensor(*reference_, view); }
    [[nodiscard]] backend& device() { return *reference_; }

  private:
    std::unique_ptr<backend> reference_;
    std::list<device_memory> memories_;
};

tensor_desc oracle_desc(backend& reference, const operation_params& op, std::string_view name,
                        const tensor_desc& desc, const shape& dims) {
    const bool any_layout =
        std::holds_alternative<adam_step>(op) || std::holds_alternative<loss_scale_update>(op);
    if (any_layout || name == "pixels" || dims.rank() < shape::max_rank) return {desc.type, dims};
    return reference.activation(desc.type, dims); // convolution weights too lie channels last there
}

} // namespace

verification::verification(backend& device, const operation_params& op, const max_pool_forward* pooled)
    : device_(device), op_(op) {
    if (const std::int64_t channels = channels_of(op); channels > 0) channels_ = chosen_channels(channels);
    for_each_operand(op, [&](std::string_view name, const tensor_view& view, access kind) {
        operands_.push_back({std::string(name), view, kind, {}});
        if (kind != access::write) operands_.back().before = read(name, view);
    });
    if (pooled != nullptr) {
        pooled_x_ = read("x", pooled->x);
        if (pooled->saved.present()) pooled_saved_ = read("saved", pooled->saved);
    }
}

host_tensor verification::read(std::string_view name, const tensor_view& view) const {
    host_tensor tensor = read_tensor(device_, view);
    const channel_axis along = channel_axis_of(op_, name, tensor.dims);
    if (channels_.empty() || !along.axis) return tensor;
    std::vector<std::int64_t> places = channels_;
    if (along.halves)
        for (const std::int64_t channel : channels_) places.push_back(tensor.dims[*along.axis] / 2 + channel);
    if (!tensor.data.empty())
        tensor.data = sliced(tensor.data, host_bytes(view.desc.type), tensor.dims, *along.axis, places);
    tensor.dims = with_extent(tensor.dims, *along.axis, static_cast<std::int64_t>(places.size()));
    return tensor;
}

std::optional<std::string> verification::judge() {
    oracle exact;
    operation_params op = with_channels(op_, static_cast<std::int64_t>(channels_.size()));
    std::size_t at = 0;
    std::vector<host_tensor> results(operands_.size());
    std::vector<tensor_view> expected(operands_.size());
    for_each_operand(op, [&](std::string_view name, tensor_view& view, access kind) {
        const operand& mine = operands_[at];
        host_tensor& result = results[at];
        if (kind != access::read) result = read(name, mine.view);
        const host_tensor& shown = kind == access::write ? result : mine.before;
        const tensor_desc desc = oracle_desc(exact.device(), op_, name, view.desc, shown.dims);
        view = kind == access::write || shown.data.empty() ? exact.place(desc) : exact.filled(desc, shown);
        expected[at++] = view;
    });
    if (const auto* backward = std::get_if<max_pool_backward>(&op)) {
        const tensor_desc x = exact.device().activation(backward->dx.desc.type, pooled_x_.dims);
        max_pool_forward forward{.x = exact.filled(x, pooled_x_),
                                 .saved = {},
                                 .y = exact.place(backward->dy.desc),
                                 .argmax = backward->argmax};
        if (!pooled_saved_.data.empty())
            forward.saved = exact.filled({dtype::f32, pooled_saved_.dims}, pooled_saved_);
        exact.run(forward);
    }
    double scale = 0;
    if (const auto* backward = std::get_if<batch_norm_backward>(&op)) {
        const host_tensor saved = exact.read(backward->saved);
        const std::vector<double> values(floats(saved).begin(), floats(saved).end());
        scale = scale_of_terms(*backward, values);
    }
    exact.run(op);
    for (std::size_t i = 0; i < operands_.size(); ++i) {
        if (operands_[i].kind == access::read || results[i].data.empty()) continue;
        operands_[i].before = std::move(results[i]); // now what it became
        const host_tensor right = exact.read(expected[i]);
        if (auto departure = compare(operands_[i], right, operands_[i].name == "dx" ? scale : 0))
            return departure;
    }
    return {};
}

std::optional<std::string> verification::compare(const operand& tensor, const host_tensor& expected,
                                                 double scale) const {
    const dtype type = tensor.view.desc.type;
    if (!is_floating(type)) {
        if (tensor.before.data == expected.data) return {};
        return fmt::format("{}: {} is not the reference's", name_of(op_), tensor.name);
    }
    const std::span<const float> actual = floats(tensor.before), right = floats(expected);
    for (const float value : right)
        if (std::isfinite(value)) scale = std::max(scale, static_cast<double>(std::abs(value)));
    const double limit = tolerance_of(op_, type);
    const std::size_t outliers = decides(op_) ? 1 + right.size() / 1000 : 0;
    double largest = 0;
    std::size_t beyond = 0;
    for (std::size_t i = 0; i < right.size(); ++i) {
        if (actual[i] == right[i] || (std::isnan(actual[i]) && std::isnan(right[i]))) continue;
        double off = std::abs(static_cast<double>(actual[i]) - static_cast<double>(right[i])) / scale;
        if (std::isnan(off)) off = HUGE_VAL;
        largest = std::max(largest, off);
        if (off > limit) ++beyond;
    }
    if (beyond <= outliers) return {};
    return fmt::format(
        "{}: {} of {} values of {} are off by up to {:.2g} of the largest, the limit is {:.2g}", name_of(op_),
        beyond, right.size(), tensor.name, largest, limit);
}

} // namespace petnet::bench
