// SPDX-License-Identifier: Apache-2.0
// Between row-major arrays on the host and the bytes of a tensor as `cuda` stores it (layout.hpp).
#pragma once

#include "kernels/tensor.hpp"

#include <cstddef>
#include <span>
#include <vector>

namespace petnet::kernels::cuda {

// `values` in row-major order of the logical shape; `storage` has stored_bytes(desc). Padding is written as
// zero, the rounded copy of weights with the master. Floating tensors only.
template <class Value>
void to_storage(const tensor_desc& desc, std::span<const Value> values, std::span<std::byte> storage);
template <class Value>
void from_storage(const tensor_desc& desc, std::span<const std::byte> storage, std::span<Value> values);

} // namespace petnet::kernels::cuda
