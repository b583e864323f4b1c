// SPDX-License-Identifier: Apache-2.0
#include "model/weights/weight_file.hpp"

#include "base/files.hpp"
#include "model/weights/file_format.hpp"
#include "model/weights/refusal.hpp"
#include "model/weights/safetensors.hpp"
#include "model/weights/torch_file.hpp"
#include "model/weights/weight_sets.hpp"
#include "model/weights/zstd_input.hpp"

namespace petnet::model {

weight_file read_weight_bytes(std::span<const std::byte> bytes, std::string_view display_name,
                              std::shared_ptr<const void> owner, std::string_view key) {
    if (is_zstd(bytes)) {
        const decompressed_bytes content = decompress_zstd(bytes, display_name);
        bytes = content.bytes();
        owner = content.storage;
    }
    switch (recognise(bytes)) {
    case file_format::safetensors: {
        weight_file weights = read_safetensors(bytes, display_name, owner);
        if (!key.empty()) keep_set(weights, key, display_name);
        return weights;
    }
    case file_format::torch_zip:
        return read_torch_zip(bytes, display_name, owner, key);
    case file_format::torch_legacy:
        return read_torch_legacy(bytes, display_name, owner, key);
    case file_format::unknown:
        break;
    }
    refuse(display_name,
           "not a weight file (" + describe_unknown(bytes) + "); expected safetensors or a torch .pth");
}

weight_file read_weight_file(const std::filesystem::path& path, std::string_view key) {
    const auto mapping = std::make_shared<const mapped_file>(path);
    return read_weight_bytes(mapping->bytes(), path.string(), mapping, key);
}

weight_place place_of_weights(const std::string& text) {
    std::error_code error;
    const std::size_t colon = text.rfind(':');
    if (colon == std::string::npos || colon + 1 == text.size() || std::filesystem::exists(text, error))
        return {text, {}};
    const std::filesystem::path file = text.substr(0, colon);
    if (!std::filesystem::is_regular_file(file, error)) return {text, {}};
    return {file, text.substr(colon + 1)};
}

} // namespace petnet::model
