// SPDX-License-Identifier: Apache-2.0
#include "infer/answer_json.hpp"

#include "infer/probabilities.hpp"

namespace petnet::infer {

nlohmann::ordered_json answer_json(const std::string& file, const std::vector<std::string>& classes,
                                   std::span<const float> logits) {
    const std::vector<double> p = probabilities_of(logits);
    const std::size_t label = label_of(logits);
    nlohmann::ordered_json answer{{"file", file}, {"label", classes[label]}, {"probability", p[label]}};
    for (std::size_t c = 0; c < p.size(); ++c) answer["probabilities"][classes[c]] = p[c];
    answer["logits"] = std::vector<float>(logits.begin(), logits.end());
    return answer;
}

} // namespace petnet::infer
