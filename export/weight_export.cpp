// SPDX-License-Identifier: Apache-2.0
#include "export/weight_export.hpp"

#include "base/float16.hpp"
#include "model/weights/torch_writer.hpp"

#include <algorithm>
#include <array>
#include <memory>
#include <string_view>
#include <utility>

namespace petnet::exporting {
namespace {

// fastai's body is an nn.Sequential of torchvision's modules, its head one of nine, numbered in their order.
std::string fastai_name(const std::string& name) {
    constexpr std::array<std::pair<std::string_view, std::string_view>, 10> modules{{{"conv1.", "0.0."},
                                                                                     {"bn1.", "0.1."},
                                                                                     {"layer1.", "0.4."},
                                                                                     {"layer2.", "0.5."},
                                                                                     {"layer3.", "0.6."},
                                                                                     {"layer4.", "0.7."},
                                                                                     {"head.bn1.", "1.2."},
                                                                                     {"head.fc1.", "1.4."},
                                                                                     {"head.bn2.", "1.6."},
                                                                                     {"head.fc2.", "1.8."}}};
    const auto module =
        std::ranges::find_if(modules, [&](const auto& each) { return name.starts_with(each.first); });
    return std::string(module->second) + name.substr(module->first.size());
}

constexpr std::string_view variance = ".running_var";

} // namespace

void write_torch(const exported_model& model, weight_naming naming, const std::filesystem::path& file) {
    constexpr std::array<std::int64_t, 1> no_batches{0};
    std::vector<model::weight_tensor> tensors;
    for (const model::weight_tensor& tensor : model.tensors) {
        tensors.push_back(tensor);
        std::string& name = tensors.back().name;
        if (naming == weight_naming::fastai) name = fastai_name(name);
        if (!name.ends_with(variance)) continue;
        tensors.push_back({.name = name.substr(0, name.size() - variance.size()) + ".num_batches_tracked",
                           .dtype = model::weight_dtype::i64,
                           .bytes = std::as_bytes(std::span(no_batches))});
    }
    model::write_torch_file(file, tensors);
}

void write_safetensors(const exported_model& model, bool half, const std::filesystem::path& file) {
    std::vector<model::weight_tensor> tensors = model.tensors;
    if (half)
        for (model::weight_tensor& tensor : tensors) {
            auto rounded = std::make_shared<std::vector<std::uint16_t>>();
            for (const float value : tensor.to_float32()) rounded->push_back(half_of_float(value));
            tensor.dtype = model::weight_dtype::f16;
            tensor.bytes = std::as_bytes(std::span(*rounded));
            tensor.storage = rounded;
        }
    model::write_safetensors(file, tensors, model::metadata_of(model.description));
}

} // namespace petnet::exporting
