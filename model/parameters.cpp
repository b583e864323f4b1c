// SPDX-License-Identifier: Apache-2.0
#include "model/parameters.hpp"

#include "base/random.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <stdexcept>

namespace petnet::model {
namespace {

template <typename Entry>
const Entry& find_by_name(const std::vector<Entry>& entries, std::string_view name) {
    const auto found = std::ranges::find(entries, name, &Entry::name);
    if (found == entries.end()) throw std::logic_error("the network has no tensor " + std::string(name));
    return *found;
}

} // namespace

parameters::parameters(kernels::backend& device, const network& net, kernels::dtype activations,
                       optimizer_state optimizer)
    : device_(&device) {
    const bool trainable = optimizer == optimizer_state::present;
    using kernels::dtype;
    const auto vector_of = [](std::int64_t n) { return kernels::tensor_desc{dtype::f32, {n}, 0}; };
    const auto add = [this, trainable](std::string name, parameter_kind kind, std::size_t group,
                                       const kernels::tensor_desc& desc, std::int64_t fan_in) {
        const kernels::tensor_view view{desc, nullptr, 0};
        const kernels::tensor_view moment = trainable ? view : kernels::tensor_view{};
        trained_.push_back({std::move(name), kind, group, view, moment, moment, fan_in});
    };
    const auto add_batch_norm = [&](const std::string& name, std::size_t group, std::int64_t channels) {
        add(name + ".weight", parameter_kind::batch_norm_weight, group, vector_of(channels), 1);
        add(name + ".bias", parameter_kind::batch_norm_bias, group, vector_of(channels), 1);
        statistics_.push_back(
            {name + ".running_mean", {vector_of(channels), nullptr, 0}, false, group == head_group});
        statistics_.push_back(
            {name + ".running_var", {vector_of(channels), nullptr, 0}, true, group == head_group});
    };
    const auto add_linear = [&](const std::string& name, std::int64_t out, std::int64_t in) {
        add(name, parameter_kind::linear, head_group, {dtype::f32, {out, in}, 0}, in);
    };
    for (const convolution_unit& unit : net.units) {
        const kernels::convolution_shape shape{.batch = 1,
                                               .in_channels = unit.in_channels,
                                               .height = 56,
                                               .width = 56,
                                               .out_channels = unit.out_channels,
                                               .kernel = unit.kernel,
                                               .stride = unit.stride,
                                               .padding = unit.padding};
        add(unit.convolution + ".weight", parameter_kind::convolution, unit.group,
            device.convolution_weights(shape, activations), unit.in_channels * unit.kernel * unit.kernel);
        add_batch_norm(unit.batch_norm, unit.group, unit.out_channels);
    }
    add_batch_norm("head.bn1", head_group, net.features());
    add_linear("head.fc1.weight", net.config.head_width, net.features());
    add_batch_norm("head.bn2", head_group, net.config.head_width);
    add_linear("head.fc2.weight", net.config.classes, net.config.head_width);

    const auto aligned = [&](const kernels::tensor_desc& desc) {
        const std::size_t bytes = device.storage_bytes(desc);
        return (bytes + kernels::memory_alignment - 1) / kernels::memory_alignment *
               kernels::memory_alignment;
    };
    std::size_t total = 0;
    for (const parameter& p : trained_) total += (trainable ? 3 : 1) * aligned(p.value.desc);
    for (const running_statistic& s : statistics_) total += aligned(s.value.desc);
    const kernels::tensor_desc loss_scale{dtype::f32, {kernels::loss_scale_columns}};
    const bool scaled = trainable && activations == dtype::f16;
    if (scaled) total += aligned(loss_scale);
    memory_ = device.allocate(total);
    std::byte* next = memory_.get();
    const auto place = [&](kernels::tensor_view& view) {
        view.data = next;
        next += aligned(view.desc);
    };
    for (parameter& p : trained_) place(p.value);
    if (trainable)
        for (parameter& p : trained_) {
            place(p.m);
            place(p.v);
        }
    for (running_statistic& s : statistics_) place(s.value);
    if (scaled) {
        loss_scale_.desc = loss_scale;
        place(loss_scale_);
        device.write(loss_scale_,
                     std::span<const float>(std::array{kernels::loss_scale_start, 0.0F, 0.0F, 0.0F}));
    }
    if (trainable) clear_moments();
}

const parameter& parameters::find(std::string_view name) const { return find_by_name(trained_, name); }

const kernels::tensor_view& parameters::statistic(std::string_view name) const {
    return find_by_name(statistics_, name).value;
}

void parameters::clear_moments() {
    for (const parameter& p : trained_) {
        device_->clear(p.m);
        device_->clear(p.v);
    }
    if (!loss_scale_.present()) return;
    std::array<float, kernels::loss_scale_columns> state{};
    device_->read(loss_scale_, std::span<float>(state));
    state.back() = 0;
    device_->write(loss_scale_, std::span<const float>(state));
}

void initialise(parameters& p, std::uint64_t seed, initialise_part part) {
    const bool head_only = part == initialise_part::head;
    kernels::backend& device = p.device();
    std::vector<double> values;
    for (const parameter& entry : p.trained()) {
        if (head_only && !entry.in_head()) continue;
        const kernels::shape& dims = entry.value.desc.dims;
        values.assign(static_cast<std::size_t>(dims.elements()),
                      entry.kind == parameter_kind::batch_norm_weight ? 1 : 0);
        if (entry.decays()) {
            const std::int64_t fan =
                entry.kind == parameter_kind::convolution ? dims[0] * dims[2] * dims[3] : entry.fan_in;
            const double deviation = std::sqrt(2.0 / static_cast<double>(fan));
            const random_key key = random_key(seed).child("weights").child(entry.name);
            for (std::size_t i = 0; i < values.size(); ++i) values[i] = deviation * key.normal(i);
        }
        device.write(entry.value, std::span<const double>(values));
    }
    for (const running_statistic& s : p.statistics()) {
        if (head_only && !s.in_head) continue;
        values.assign(static_cast<std::size_t>(s.value.desc.dims.elements()), s.variance ? 1 : 0);
        device.write(s.value, std::span<const double>(values));
    }
}

} // namespace petnet::model
