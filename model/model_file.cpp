// SPDX-License-Identifier: Apache-2.0
#include "model/model_file.hpp"

#include "base/errors.hpp"
#include "model/weights/tensor_layout.hpp"
#include "model/weights/value_check.hpp"
#include "model/weights/weight_names.hpp"
#include "model/weights/weight_sets.hpp"

#include <memory>
#include <unordered_map>

namespace petnet::model {
namespace {

std::vector<std::int64_t> extents(const kernels::shape& dims) {
    std::vector<std::int64_t> result;
    for (std::size_t axis = 0; axis < dims.rank(); ++axis) result.push_back(dims[axis]);
    return result;
}

constexpr const char* loss_scale_name = "loss_scale";

// Tensors by petnet's name.
using tensor_table = std::unordered_map<std::string, const weight_tensor*>;

// Brings tensors of a file to a device. Every weight that petnet uses passes here and becomes float32.
class tensor_loader {
  public:
    tensor_loader(kernels::backend& device, const tensor_table& table, std::string_view file)
        : device_(device), table_(table), file_(file) {}

    void fill(const kernels::tensor_view& to, const std::string& name) {
        const auto found = table_.find(name);
        if (found == table_.end())
            throw input_error(file_ + ": these are weights of another network: " + name +
                              " is missing (ResNet-34 is expected)");
        const weight_tensor& tensor = *found->second;
        if (tensor.shape != extents(to.desc.dims))
            throw input_error(file_ + ": these are weights of another network: " + name + " is " +
                              extents_text(tensor.shape) + ", expected " +
                              extents_text(extents(to.desc.dims)));
        const std::vector<float> values = tensor.to_float32();
        check_.add(tensor.name, values);
        device_.write(to, std::span<const float>(values));
    }

    // input_error where a value cannot be used.
    void require_usable() const {
        if (const auto finding = check_.finding())
            throw input_error(file_ + ": " + *finding +
                              ": a network with them answers NaN; use a file from before they broke "
                              "(petnet inspect FILE lists the broken tensors)");
    }

  private:
    kernels::backend& device_;
    const tensor_table& table_;
    std::string file_;
    value_check check_;
};

weight_tensor owned_tensor(kernels::backend& device, std::string name, const kernels::tensor_view& from) {
    auto values = std::make_shared<std::vector<float>>(static_cast<std::size_t>(from.desc.dims.elements()));
    device.read(from, std::span<float>(*values));
    weight_tensor tensor = float32_tensor(std::move(name), extents(from.desc.dims), *values);
    tensor.storage = values;
    return tensor;
}

} // namespace

loaded_weights load_weights(parameters& p, const weight_file& weights, std::string_view file) {
    std::vector<std::string> names;
    for (const weight_tensor& tensor : weights.tensors) names.push_back(tensor.name);
    weight_name_mapping mapping = map_weight_names(names, file);
    tensor_table table;
    for (const auto& used : mapping.used) table.emplace(used.name, &weights.tensors[used.source]);

    loaded_weights result;
    result.ignored = std::move(mapping.unknown);
    const auto note_choice = [&](const std::vector<std::string>& places) {
        if (places.size() > 1) result.choices.push_back(several_sets(file, places));
    };
    note_choice(weights.sets);
    note_choice(mapping.prefixes);
    // A head for other classes is no error: it is what fine-tuning replaces.
    const auto matches = [&](const std::string& name, const kernels::tensor_view& view) {
        const auto found = table.find(name);
        return found != table.end() && found->second->shape == extents(view.desc.dims);
    };
    result.head = true;
    for (const parameter& entry : p.trained())
        if (entry.in_head() && !matches(entry.name, entry.value)) result.head = false;
    for (const running_statistic& entry : p.statistics())
        if (entry.in_head && !matches(entry.name, entry.value)) result.head = false;

    tensor_loader loader(p.device(), table, file);
    for (const parameter& entry : p.trained())
        if (!entry.in_head() || result.head) loader.fill(entry.value, entry.name);
    for (const running_statistic& entry : p.statistics())
        if (!entry.in_head || result.head) loader.fill(entry.value, entry.name);
    loader.require_usable();
    return result;
}

std::vector<weight_tensor> collect_state(const parameters& p, bool moments) {
    std::vector<weight_tensor> tensors;
    for (const parameter& entry : p.trained()) {
        tensors.push_back(owned_tensor(p.device(), entry.name, entry.value));
        if (!moments) continue;
        tensors.push_back(owned_tensor(p.device(), "adam.m." + entry.name, entry.m));
        tensors.push_back(owned_tensor(p.device(), "adam.v." + entry.name, entry.v));
    }
    for (const running_statistic& entry : p.statistics())
        tensors.push_back(owned_tensor(p.device(), entry.name, entry.value));
    if (moments && p.loss_scale().present())
        tensors.push_back(owned_tensor(p.device(), loss_scale_name, p.loss_scale()));
    return tensors;
}

void restore_state(parameters& p, const weight_file& state, std::string_view file) {
    tensor_table table;
    for (const weight_tensor& tensor : state.tensors) table.emplace(tensor.name, &tensor);
    tensor_loader loader(p.device(), table, file);
    for (const parameter& entry : p.trained()) {
        loader.fill(entry.value, entry.name);
        loader.fill(entry.m, "adam.m." + entry.name);
        loader.fill(entry.v, "adam.v." + entry.name);
    }
    for (const running_statistic& entry : p.statistics()) loader.fill(entry.value, entry.name);
    if (p.loss_scale().present()) loader.fill(p.loss_scale(), loss_scale_name);
    loader.require_usable();
}

} // namespace petnet::model
