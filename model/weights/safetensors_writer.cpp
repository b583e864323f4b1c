// SPDX-License-Identifier: Apache-2.0
#include "base/files.hpp"
#include "model/weights/tensor_layout.hpp"
#include "model/weights/weight_file.hpp"

#include <algorithm>
#include <array>
#include <cstring>
#include <nlohmann/json.hpp>
#include <stdexcept>

namespace petnet::model {
namespace {

const char* format_name(weight_dtype dtype) {
    constexpr std::array names = {"F64", "F32", "F16", "BF16", "I64", "I32", "I16", "I8", "U8", "BOOL"};
    return names[static_cast<std::size_t>(dtype)];
}

std::vector<const weight_tensor*> in_file_order(std::span<const weight_tensor> tensors) {
    std::vector<const weight_tensor*> order;
    for (const weight_tensor& tensor : tensors) {
        if (tensor.name == "__metadata__")
            throw std::invalid_argument("a tensor cannot be named __metadata__");
        if (contiguous_bytes(tensor.shape, element_size(tensor.dtype)) != tensor.bytes.size())
            throw std::invalid_argument(tensor.name + ": " + std::to_string(tensor.bytes.size()) +
                                        " bytes do not make shape " + shape_text(tensor.shape));
        order.push_back(&tensor);
    }
    std::sort(order.begin(), order.end(), [](const weight_tensor* a, const weight_tensor* b) {
        const std::size_t size_a = element_size(a->dtype), size_b = element_size(b->dtype);
        return size_a != size_b ? size_a > size_b : a->name < b->name;
    });
    return order;
}

std::string header_text(std::span<const weight_tensor* const> order,
                        const std::map<std::string, std::string>& metadata) {
    nlohmann::ordered_json header = nlohmann::ordered_json::object();
    if (!metadata.empty()) header["__metadata__"] = metadata;
    // ordered_json looks names up one after the other: push to its vector, and check for repetitions here.
    auto& members = header.get_ref<nlohmann::ordered_json::object_t&>();
    std::vector<std::string_view> names;
    std::size_t offset = 0;
    for (const weight_tensor* tensor : order) {
        const std::size_t end = offset + tensor->bytes.size();
        nlohmann::ordered_json entry = {{"dtype", format_name(tensor->dtype)},
                                        {"shape", nlohmann::ordered_json::array()},
                                        {"data_offsets", {offset, end}}};
        for (std::int64_t size : tensor->shape) entry["shape"].push_back(size);
        members.push_back({tensor->name, std::move(entry)});
        names.push_back(tensor->name);
        offset = end;
    }
    std::sort(names.begin(), names.end());
    const auto repeated = std::adjacent_find(names.begin(), names.end());
    if (repeated != names.end())
        throw std::invalid_argument("two tensors are named " + std::string(*repeated));
    try {
        std::string text = header.dump();
        text.resize((text.size() + 7) / 8 * 8, ' ');
        return text;
    } catch (const nlohmann::json::type_error&) {
        throw std::invalid_argument("a tensor name or the metadata is not UTF-8");
    }
}

} // namespace

void write_safetensors(const std::filesystem::path& path, std::span<const weight_tensor> tensors,
                       const std::map<std::string, std::string>& metadata) {
    const auto order = in_file_order(tensors);
    const std::string header = header_text(order, metadata);
    write_file_atomically(path, [&](const byte_sink& write) {
        const std::array<std::uint64_t, 1> length = {header.size()};
        write(std::as_bytes(std::span(length)));
        write(std::as_bytes(std::span(header)));
        for (const weight_tensor* tensor : order) write(tensor->bytes);
    });
}

} // namespace petnet::model
