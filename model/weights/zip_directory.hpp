// SPDX-License-Identifier: Apache-2.0
// The files inside a zip archive, as views: only stored (not compressed) entries, which is what `torch.save`
// writes.
#pragma once

#include <cstddef>
#include <map>
#include <span>
#include <string_view>

namespace petnet::model {

struct zip_directory {
    std::map<std::string_view, std::span<const std::byte>> entries; // contents by name, views of the archive
    std::string_view compressed; // the first entry that is; such entries come without content
};

// Understands zip64. Every offset and size is checked against the
// archive, and entries may not overlap; checksums are not looked at (PyTorch's own reader leaves that open,
// too). Throws input_error.
[[nodiscard]] zip_directory read_zip_directory(std::span<const std::byte> bytes, std::string_view file);

} // namespace petnet::model
