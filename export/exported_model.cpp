// SPDX-License-Identifier: Apache-2.0
#include "export/exported_model.hpp"

#include "kernels/backend.hpp"
#include "model/model_file.hpp"
#include "model/parameters.hpp"
#include "model/weights/weight_names.hpp"

#include <algorithm>
#include <stdexcept>

namespace petnet::exporting {

const model::weight_tensor& exported_model::find(const std::string& name) const {
    const auto found = std::ranges::find(tensors, name, &model::weight_tensor::name);
    if (found == tensors.end()) throw std::logic_error("the model has no tensor " + name);
    return *found;
}

exported_model read_model(const std::filesystem::path& file) {
    const model::weight_file weights = model::read_weight_file(file);
    exported_model result;
    result.description = model::describe(weights, file.string());
    result.network =
        model::make_resnet({.classes = static_cast<std::int64_t>(result.description.classes.size())});
    // Through a network's own parameters: their reader checks names and shapes.
    const auto device = kernels::make_backend("reference");
    model::parameters parameters(*device, result.network, kernels::dtype::f32,
                                 model::optimizer_state::absent);
    if (!model::load_weights(parameters, weights, file.string()).head)
        throw input_error(file.string() + ": the head for its classes is missing or of another shape (a "
                                          "model.safetensors of petnet train was expected)");
    std::vector<model::weight_tensor> tensors = model::collect_state(parameters, false);
    for (const auto* names : {&model::body_weight_names(), &model::head_weight_names()})
        for (const std::string& name : *names) {
            const auto found = std::ranges::find(tensors, name, &model::weight_tensor::name);
            if (found == tensors.end()) throw std::logic_error("the network has no tensor " + name);
            result.tensors.push_back(std::move(*found));
        }
    return result;
}

} // namespace petnet::exporting
