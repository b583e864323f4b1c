// SPDX-License-Identifier: Apache-2.0
// From the values a pickle makes to the tensors they describe.
#pragma once

#include "model/weights/pickle_machine.hpp"
#include "model/weights/weight_file.hpp"

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string_view>
#include <unordered_map>

namespace petnet::model {

// What torch.save writes for a storage: ("storage", type, key, device, number of elements, ...).
struct torch_storage {
    std::string_view type; // e.g. "torch.FloatStorage"
    std::string_view key;
    std::uint64_t elements = 0;
    std::size_t element_size = 0;      // 1 for untyped storages, whose elements are bytes
    std::optional<weight_dtype> dtype; // none for untyped storages and for types that petnet has no use for
};

// Reads a persistent value; throws input_error where it is something else than a storage of a known type.
[[nodiscard]] torch_storage storage_of(const pickle_machine& machine, const pickle_value& persistent,
                                       std::string_view file);

// The weights in `root`, where state_dicts.hpp finds them; of `key`, what names no dictionary names a set as
// keep_set does. `storages` holds each storage's bytes by key. Throws input_error where there is no state
// dict or a tensor leaves its storage.
[[nodiscard]] weight_file
weights_of(const pickle_machine& machine, const pickle_value& root,
           const std::unordered_map<std::string_view, std::span<const std::byte>>& storages,
           std::size_t file_size, std::string_view file, const std::shared_ptr<const void>& owner,
           std::string_view key);

} // namespace petnet::model
