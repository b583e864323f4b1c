// SPDX-License-Identifier: Apache-2.0
#include "model/weights/weight_sets.hpp"

#include "model/weights/refusal.hpp"

#include <algorithm>
#include <array>

namespace petnet::model {
namespace {

using namespace std::string_view_literals;

constexpr std::array preferred = {"state_dict"sv, "model_state_dict"sv, "model"sv, "net"sv,
                                  "network"sv,    "weights"sv,          "params"sv};
constexpr int without_key = preferred.size(), other_names = without_key + 1, averages = other_names + 1;

// Words of `state_dict_ema`, `teacher.backbone`, `momentum-encoder`, `swa_model`, ...
bool is_average(std::string_view place) {
    constexpr std::array words = {"ema"sv,      "teacher"sv, "swa"sv,    "average"sv,
                                  "averaged"sv, "shadow"sv,  "target"sv, "momentum"sv};
    while (!place.empty()) {
        const std::size_t end = std::min(place.find_first_of("._-"), place.size());
        if (std::ranges::find(words, place.substr(0, end)) != words.end()) return true;
        place.remove_prefix(std::min(end + 1, place.size()));
    }
    return false;
}

std::string top_names(const weight_file& weights) {
    constexpr std::size_t most = 10;
    std::vector<std::string_view> names;
    for (const weight_tensor& tensor : weights.tensors) {
        const std::string_view name = std::string_view(tensor.name).substr(0, tensor.name.find('.'));
        if (std::ranges::find(names, name) == names.end()) names.push_back(name);
        if (names.size() > most) break;
    }
    std::string text;
    for (std::size_t i = 0; i < std::min(names.size(), most); ++i)
        text += (i > 0 ? ", " : "") + printable(names[i]);
    return text + (names.size() > most ? ", ..." : "");
}

} // namespace

int order_of_set(std::string_view place) {
    if (place.empty()) return without_key;
    if (is_average(place)) return averages;
    const auto found = std::ranges::find(preferred, place.substr(0, place.find('.')));
    return found == preferred.end() ? other_names : static_cast<int>(found - preferred.begin());
}

std::string several_sets(std::string_view file, const std::vector<std::string>& places) {
    constexpr std::size_t most = 8;
    const auto name = [](std::string_view place) {
        return place.empty() ? "the one without a key" : printable(place);
    };
    std::string others;
    for (std::size_t i = 1; i < std::min(places.size(), most); ++i)
        others += (i > 1 ? ", " : "") + name(places[i]);
    if (places.size() > most) others += ", ...";
    return std::string(file) + " holds several sets of weights: " + name(places[0]) + " is read, not " +
           others + "; FILE:KEY names another";
}

void keep_set(weight_file& weights, std::string_view key, std::string_view file) {
    std::vector<weight_tensor> kept;
    for (const weight_tensor& tensor : weights.tensors)
        if (tensor.name.size() > key.size() + 1 && tensor.name.starts_with(key) &&
            tensor.name[key.size()] == '.') {
            kept.push_back(tensor);
            kept.back().name.erase(0, key.size() + 1);
        }
    if (kept.empty())
        refuse(file, "it holds no set of weights " + printable(key) + "; the names in it begin with " +
                         top_names(weights));
    weights.tensors = std::move(kept);
    weights.sets.clear();
}

} // namespace petnet::model
