// SPDX-License-Identifier: Apache-2.0
// The Python functions that a weight file may name in a call. None is ever run.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

namespace petnet::model {

// What the call of a function stands for.
enum class pickle_meaning : std::uint8_t {
    tensor,            // a tensor on a storage
    tensor_v3,         // the same with its dtype among the arguments
    first_argument,    // the first argument, e.g. a Parameter's tensor
    rebuild_from_type, // (function, type, arguments, ...): the result of that function
    dictionary,
    plain_data, // something harmless that is no weight
};

// The meaning of "module.name"; nothing for every function that is not allowed.
[[nodiscard]] std::optional<pickle_meaning> find_pickle_function(std::string_view name) noexcept;

} // namespace petnet::model
