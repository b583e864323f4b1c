// SPDX-License-Identifier: Apache-2.0
// Where in the object that torch.save wrote the weights are.
#pragma once

#include "model/weights/pickle_machine.hpp"

#include <string>
#include <string_view>
#include <vector>

namespace petnet::model {

[[nodiscard]] bool is_tensor(const pickle_value& value);

struct found_state_dict {
    pickle_value tensors;            // a dictionary
    std::vector<std::string> places; // of all that are as whole, the found one first; one: there is no other
    std::string_view rest;           // of `key`: what names no dictionary, but may begin the tensors' names
};

// A state dict is a dictionary of tensors: `root` itself, or one under text keys in it, at most two deep (or
// two below what `key` names: "checkpoint.model"). Of several that one which has most of the tensors' names
// of ResNet-34, then by order_of_set. Throws input_error where there is none.
[[nodiscard]] found_state_dict find_state_dict(const pickle_machine& machine, const pickle_value& root,
                                               std::string_view key, std::string_view file);

} // namespace petnet::model
