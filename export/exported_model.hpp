// SPDX-License-Identifier: Apache-2.0
// A trained model as its file holds it, checked to be whole: what every exporter starts from.
#pragma once

#include "model/model_description.hpp"
#include "model/network.hpp"
#include "model/weights/weight_file.hpp"

#include <filesystem>
#include <string>
#include <vector>

namespace petnet::exporting {

struct exported_model {
    model::model_description description;
    model::network network;
    std::vector<model::weight_tensor> tensors; // petnet's names, float32, in the order of the forward pass
    [[nodiscard]] const model::weight_tensor& find(const std::string& name) const; // std::logic_error: none
};

// Reads a model.safetensors of petnet train, float32 or float16. input_error: it is no such file, or a tensor
// is missing or of another shape.
[[nodiscard]] exported_model read_model(const std::filesystem::path& file);

} // namespace petnet::exporting
