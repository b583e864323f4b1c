// SPDX-License-Identifier: Apache-2.0
// A file may hold several sets of weights: under keys of nested dictionaries (`model`, `ema`), or as tensors
// whose names begin with different prefixes (`student.`, `teacher.`). Which of them is meant.
#pragma once

#include "model/weights/weight_file.hpp"

#include <string>
#include <string_view>
#include <vector>

namespace petnet::model {

// Of two sets that are equally whole, the one whose place ("checkpoint.model", "student.") has the lower
// number is read; of equal numbers the first in the file. `state_dict`, `model_state_dict`, `model`, `net`,
// `network`, `weights`, `params`, then tensors without a key (an empty place), then other names; averages of
// weights (`ema`, `teacher`, `swa`, ...) last.
[[nodiscard]] int order_of_set(std::string_view place);

// "FILE holds several sets of weights: 'model' is read, not 'ema'; FILE:KEY names another". `places`: the set
// that is read first, and at least one more.
[[nodiscard]] std::string several_sets(std::string_view file, const std::vector<std::string>& places);

// Leaves the tensors whose names begin with `key` and a dot, without these. input_error where there are none.
void keep_set(weight_file& weights, std::string_view key, std::string_view file);

} // namespace petnet::model
