// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <nlohmann/json.hpp>
#include <span>
#include <string>
#include <vector>

namespace petnet::infer {

// {"file", "label", "probability", "probabilities": {class: p}, "logits": [...]}: what `petnet predict
// --json` prints and `petnet serve` answers for a photograph. One logit for each class. `file` and the
// classes may be no UTF-8: dump with an error handler.
[[nodiscard]] nlohmann::ordered_json
answer_json(const std::string& file, const std::vector<std::string>& classes, std::span<const float> logits);

} // namespace petnet::infer
