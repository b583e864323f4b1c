// SPDX-License-Identifier: Apache-2.0
// Weight files compressed as a whole with zstd.
#pragma once

#include <cstddef>
#include <memory>
#include <span>
#include <string_view>

namespace petnet::model {

struct decompressed_bytes {
    std::shared_ptr<const std::byte[]> storage;
    std::size_t size = 0;

    [[nodiscard]] std::span<const std::byte> bytes() const noexcept { return {storage.get(), size}; }
};

[[nodiscard]] bool is_zstd(std::span<const std::byte> bytes) noexcept;

// The content of a zstd file. What the frame says of its content's size is only a hint: at most 320
// MiB, at most 128 MiB plus 64 bytes for each compressed one, and of a safetensors file no more than its
// header describes. Content that does not begin like a weight file is refused after its first bytes. Throws
// input_error.
[[nodiscard]] decompressed_bytes decompress_zstd(std::span<const std::byte> bytes, std::string_view file);

} // namespace petnet::model
