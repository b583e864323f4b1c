// SPDX-License-Identifier: Apache-2.0
#include "app/inspect_weights.hpp"

#include "app/console.hpp"
#include "base/errors.hpp"
#include "kernels/backend.hpp"
#include "model/model_file.hpp"
#include "model/network.hpp"
#include "model/parameters.hpp"
#include "model/weights/recognised_network.hpp"
#include "model/weights/tensor_layout.hpp"
#include "model/weights/value_check.hpp"
#include "model/weights/weight_file.hpp"
#include "model/weights/weight_names.hpp"
#include "model/weights/weight_sets.hpp"

#include <algorithm>
#include <cstdint>
#include <filesystem>
#include <fmt/core.h>
#include <map>
#include <vector>

namespace petnet::app {
namespace {

void print_tensors(const model::weight_file& weights) {
    std::size_t values = 0;
    model::value_check check;
    for (const model::weight_tensor& tensor : weights.tensors) {
        const model::unusable_values unusable = check.add(tensor.name, tensor.to_float32());
        fmt::print("{:<44} {:<9} {}{}\n", tensor.name, model::to_string(tensor.dtype),
                   model::extents_text(tensor.shape),
                   unusable.any() ? "  has " + model::to_string(unusable) : "");
        values += tensor.element_count();
    }
    for (const auto& [name, value] : weights.metadata) fmt::print("metadata {}: {}\n", name, value);
    fmt::print("{} tensors, {:.1f} million values\n", weights.tensors.size(),
               static_cast<double>(values) / 1e6);
    if (const auto finding = check.finding()) fmt::print("Unusable: {}\n", *finding);
}

// Tensors of the file by petnet's names.
using tensors_by_name = std::map<std::string, const model::weight_tensor*>;

// How many of a network's tensors are there in their shape.
struct fitting_tensors {
    std::size_t body = 0, head = 0;
};

fitting_tensors count_fitting(const tensors_by_name& tensors, const model::parameters& parameters) {
    fitting_tensors result;
    const auto count = [&](const std::string& name, const kernels::shape& dims, bool in_head) {
        const auto found = tensors.find(name);
        if (found == tensors.end() || found->second->shape.size() != dims.rank()) return;
        for (std::size_t axis = 0; axis < dims.rank(); ++axis)
            if (found->second->shape[axis] != dims[axis]) return;
        ++(in_head ? result.head : result.body);
    };
    for (const model::parameter& each : parameters.trained())
        count(each.name, each.value.desc.dims, each.in_head());
    for (const model::running_statistic& each : parameters.statistics())
        count(each.name, each.value.desc.dims, each.in_head);
    return result;
}

// As many as the file's head has, if it has one.
std::int64_t classes_of(const tensors_by_name& tensors) {
    constexpr std::int64_t most = 100'000;
    const auto found = tensors.find("head.fc2.weight");
    const bool usual = found != tensors.end() && found->second->shape.size() == 2 &&
                       found->second->shape[0] >= 2 && found->second->shape[0] <= most;
    return usual ? found->second->shape[0] : 2;
}

// What `petnet train` would say of them.
std::string verdict(model::parameters& parameters, const model::weight_file& weights, const std::string& file,
                    std::int64_t classes) {
    try {
        return model::load_weights(parameters, weights, file).head
                   ? fmt::format("starts from these weights, and from their head where there are {} classes",
                                 classes)
                   : "starts from these weights, with a new head";
    } catch (const input_error& error) {
        const std::string reason = error.what(), place = file + ": ";
        return "refuses them: " + (reason.starts_with(place) ? reason.substr(place.size()) : reason);
    }
}

} // namespace

void inspect_weights(const std::string& place) {
    const auto [path, key] = model::place_of_weights(place);
    const std::string file = path.string();
    const model::weight_file weights = model::read_weight_file(path, key);
    print_tensors(weights);

    std::vector<std::string> names;
    for (const model::weight_tensor& tensor : weights.tensors) names.push_back(tensor.name);
    const model::weight_name_mapping mapping = model::map_weight_names(names, file);
    for (const std::vector<std::string>* places : {&weights.sets, &mapping.prefixes})
        if (places->size() > 1) tell("Warning: {}\n", model::several_sets(file, *places));
    tensors_by_name tensors;
    for (const auto& used : mapping.used) tensors.emplace(used.name, &weights.tensors[used.source]);

    const std::int64_t classes = classes_of(tensors);
    const auto device = kernels::make_backend("reference");
    const model::network network = model::make_resnet({.classes = classes});
    model::parameters parameters(*device, network, kernels::dtype::f32, model::optimizer_state::absent);
    const fitting_tensors fitting = count_fitting(tensors, parameters);
    const std::string recognised = model::recognise_network(weights.tensors);
    fmt::print("Network: {}\n", recognised.empty() ? "none that petnet knows" : recognised);
    fmt::print(
        "ResNet-34: {} of {} tensors of the body in their shape, {} of {} of petnet's head, {} with no "
        "place in it\n",
        fitting.body, model::body_weight_names().size(), fitting.head, model::head_weight_names().size(),
        mapping.unknown.size());
    fmt::print("petnet train {}\n", verdict(parameters, weights, file, classes));
}

} // namespace petnet::app
