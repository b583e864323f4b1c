// SPDX-License-Identifier: Apache-2.0
// A network's parameters to and from weight files.
#pragma once

#include "model/parameters.hpp"
#include "model/weights/weight_file.hpp"

#include <filesystem>
#include <map>
#include <string>
#include <string_view>
#include <vector>

namespace petnet::model {

struct loaded_weights {
    bool head = false;                // the file also held a head for as many classes
    std::vector<std::string> ignored; // names in the file that no tensor of the network has
    // Where the file holds several sets of weights, in words: which was read (weights/weight_sets.hpp).
    std::vector<std::string> choices;
};

// Fills the body, and the head where the file has one of the network's shape, from a file whose tensors carry
// any of the names of weight_names.hpp. input_error naming `file` and the first tensor of the body that is
// missing or of another shape, or the first that is used and holds values as value_check.hpp finds them.
// After an error the parameters are of no use.
loaded_weights load_weights(parameters& p, const weight_file& weights, std::string_view file);

// What training changes, as float32 tensors in PyTorch's layouts: parameters and running statistics, and with
// `moments` also Adam's, named "adam.m.NAME" and "adam.v.NAME", and where there is one the "loss_scale". The
// tensors own their values.
[[nodiscard]] std::vector<weight_tensor> collect_state(const parameters& p, bool moments);

// The reverse of collect_state(p, true). input_error naming `file` and the tensor that is missing, of another
// shape, or holds values as value_check.hpp finds them; after it the parameters are of no use.
void restore_state(parameters& p, const weight_file& state, std::string_view file);

} // namespace petnet::model
