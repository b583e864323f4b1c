// SPDX-License-Identifier: Apache-2.0
// What a file is, judged by its first bytes.
#pragma once

#include <cstddef>
#include <span>
#include <string>

namespace petnet::model {

enum class file_format { safetensors, torch_zip, torch_legacy, unknown };

[[nodiscard]] file_format recognise(std::span<const std::byte> bytes) noexcept;

// For a file that is unknown: what it looks like, to follow "not a weight file", e.g. "it looks like an HTML
// page".
[[nodiscard]] std::string describe_unknown(std::span<const std::byte> bytes);

} // namespace petnet::model
