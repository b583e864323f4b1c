// SPDX-License-Identifier: Apache-2.0
// Reading the safetensors format: 8 bytes of header length, a JSON header, the tensors' bytes.
#pragma once

#include "model/weights/weight_file.hpp"

#include <cstdint>
#include <optional>
#include <span>
#include <string_view>

namespace petnet::model {

// The largest header that is read, as in the format's own library.
inline constexpr std::uint64_t largest_safetensors_header = 100'000'000;

// The file's tensors, in the header's order, as views of `bytes` kept alive by `owner`. The tensors must fill
// the data without holes or overlaps. Throws input_error.
[[nodiscard]] weight_file read_safetensors(std::span<const std::byte> bytes, std::string_view file,
                                           const std::shared_ptr<const void>& owner);

// The size of the whole file as its header tells it; `beginning` is the file's beginning, and nothing is
// returned where it does not yet hold the whole header. Throws input_error where the header is wrong.
[[nodiscard]] std::optional<std::uint64_t> safetensors_file_size(std::span<const std::byte> beginning,
                                                                 std::string_view file);

} // namespace petnet::model
