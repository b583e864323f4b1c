// SPDX-License-Identifier: Apache-2.0
// What `torch.save` writes: a pickle that describes tensors, and the storages they view.
#pragma once

#include "model/weights/weight_file.hpp"

#include <memory>
#include <span>
#include <string_view>

namespace petnet::model {

// The zip format (PyTorch 1.6 and later): ROOT/data.pkl, ROOT/data/KEY, ROOT/byteorder.
// Tensors are views of `bytes`, kept alive by `owner`, or copies where their strides are not those of a
// row-major tensor. `key` names one of several sets of weights (weight_file.hpp). Throws input_error.
[[nodiscard]] weight_file read_torch_zip(std::span<const std::byte> bytes, std::string_view file,
                                         const std::shared_ptr<const void>& owner, std::string_view key);

// The format before: pickles of a magic number, a version, the system, the object and the storages' keys,
// then for each key the number of elements and the elements.
[[nodiscard]] weight_file read_torch_legacy(std::span<const std::byte> bytes, std::string_view file,
                                            const std::shared_ptr<const void>& owner, std::string_view key);

} // namespace petnet::model
