// SPDX-License-Identifier: Apache-2.0
// Precisions by the names that users give them.
#pragma once

#include "kernels/backend.hpp"

#include <optional>
#include <string_view>

namespace petnet::kernels {

// "fp32", "bf16", "fp16"; nothing for any other name.
[[nodiscard]] std::optional<dtype> named_precision(std::string_view name);

// One of these, or the device's fastest for "auto". usage_error for another name, and where the device has it
// not natively.
[[nodiscard]] dtype choose_precision(std::string_view name, const backend& device);

} // namespace petnet::kernels
