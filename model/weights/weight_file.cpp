// SPDX-License-Identifier: Apache-2.0
#include "model/weights/weight_file.hpp"

#include "base/files.hpp"
#include "model/weights/file_format.hpp"
#include "model/weights/refusal.hpp"
#include "model/weights/safetensors.hpp"
#include "model/weights/torch_file.hpp"
#include "model/weights/zstd_input.hpp"

namespace petnet::model {

weight_file read_weight_bytes(std::span<const std::byte> bytes, std::string_view display_name,
                              std::shared_ptr<const void> owner) {
    if (is_zstd(bytes)) {
        const decompressed_bytes content = decompress_zstd(bytes, display_name);
        bytes = content.bytes();
        owner = content.storage;
    }
    switch (recognise(bytes)) {
    case file_format::safetensors:
        return read_safetensors(bytes, display_name, owner);
    case file_format::torch_zip:
        return read_torch_zip(bytes, display_name, owner);
    case file_format::torch_legacy:
        return read_torch_legacy(bytes, display_name, owner);
    case file_format::unknown:
        break;
    }
    refuse(display_name,
           "not a weight file (" + describe_unknown(bytes) + "); expected safetensors or a torch .pth");
}

weight_file read_weight_file(const std::filesystem::path& path) {
    const auto mapping = std::make_shared<const mapped_file>(path);
    return read_weight_bytes(mapping->bytes(), path.string(), mapping);
}

} // namespace petnet::model
