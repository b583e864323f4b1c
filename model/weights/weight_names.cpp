// SPDX-License-Identifier: Apache-2.0
#include "model/weights/weight_names.hpp"

#include "model/weights/refusal.hpp"

#include <array>
#include <charconv>
#include <map>
#include <optional>
#include <unordered_map>
#include <unordered_set>

namespace petnet::model {
namespace {

constexpr std::string_view count_suffix = ".num_batches_tracked";

void add_batch_norm(std::vector<std::string>& names, const std::string& layer) {
    for (const char* part : {".weight", ".bias", ".running_mean", ".running_var"})
        names.push_back(layer + part);
}

std::vector<std::string> make_body_names() {
    std::vector<std::string> names = {"conv1.weight"};
    add_batch_norm(names, "bn1");
    constexpr std::array blocks = {3, 4, 6, 3};
    for (std::size_t stage = 1; stage <= blocks.size(); ++stage)
        for (int block = 0; block < blocks[stage - 1]; ++block) {
            const std::string at = "layer" + std::to_string(stage) + "." + std::to_string(block) + ".";
            for (const char* index : {"1", "2"}) {
                names.push_back(at + "conv" + index + ".weight");
                add_batch_norm(names, at + "bn" + index);
            }
            if (stage > 1 && block == 0) {
                names.push_back(at + "downsample.0.weight");
                add_batch_norm(names, at + "downsample.1");
            }
        }
    return names;
}

std::vector<std::string> make_head_names() {
    std::vector<std::string> names;
    for (const char* index : {"1", "2"}) {
        add_batch_norm(names, std::string("head.bn") + index);
        names.push_back(std::string("head.fc") + index + ".weight");
    }
    return names;
}

std::string_view without_prefixes(std::string_view name) {
    for (bool found = true; found;) {
        found = false;
        for (std::string_view prefix : {"module.", "model.", "backbone.", "_orig_mod.", "body."})
            if (name.starts_with(prefix)) {
                name.remove_prefix(prefix.size());
                found = true;
            }
    }
    return name;
}

// Splits "12.rest" into 12 and "rest".
std::optional<std::pair<int, std::string_view>> numbered(std::string_view name) {
    int number = 0;
    const auto [end, failure] = std::from_chars(name.data(), name.data() + name.size(), number);
    const auto length = static_cast<std::size_t>(end - name.data());
    if (failure != std::errc() || number < 0 || length >= name.size() || name[length] != '.')
        return std::nullopt;
    return std::pair(number, name.substr(length + 1));
}

// The modules of fastai's body, an nn.Sequential of torchvision's; 2 and 3 are ReLU and max-pool.
std::optional<std::string> sequential_body_name(std::string_view name) {
    const auto split = numbered(name);
    if (!split) return std::nullopt;
    constexpr std::array<std::string_view, 8> modules = {"conv1",  "bn1",    "",       "",
                                                         "layer1", "layer2", "layer3", "layer4"};
    const auto index = static_cast<std::size_t>(split->first);
    if (index >= modules.size() || modules[index].empty()) return std::nullopt;
    return std::string(modules[index]) + "." + std::string(split->second);
}

// Where fastai's head, an nn.Sequential, has its four layers: 2, 4, 6, 8 as a rule; dropout layers with
// probability 0 are left out of it and shift what follows. Batch-norm is known by its running mean.
std::map<int, std::string> head_modules(std::span<const std::string> names) {
    std::map<int, bool> is_batch_norm;
    for (const std::string& name : names) {
        const auto outer = numbered(without_prefixes(name));
        if (!outer || outer->first != 1) continue;
        if (const auto inner = numbered(outer->second))
            is_batch_norm[inner->first] |= inner->second == "running_mean";
    }
    constexpr std::array<std::pair<const char*, bool>, 4> expected = {
        {{"head.bn1", true}, {"head.fc1", false}, {"head.bn2", true}, {"head.fc2", false}}};
    if (is_batch_norm.size() != expected.size()) return {};
    std::map<int, std::string> modules;
    for (const auto& [index, batch_norm] : is_batch_norm) {
        const auto& [module, should_be] = expected[modules.size()];
        if (batch_norm != should_be) return {};
        modules.emplace(index, module);
    }
    return modules;
}

bool is_classifier(std::string_view name) {
    return name == "fc.weight" || name == "fc.bias" || name == "classifier.weight" ||
           name == "classifier.bias";
}

// petnet's spelling of a name, whether or not petnet has a tensor of that name.
std::string translated(std::string_view name, const std::map<int, std::string>& head) {
    name = without_prefixes(name);
    const auto outer = numbered(name);
    if (!outer) return std::string(name);
    if (outer->first == 0) {
        const std::string_view inner = without_prefixes(outer->second);
        if (auto body = sequential_body_name(inner)) return *body;
        if (inner.find('.') != std::string_view::npos) return std::string(inner); // a timm body
    }
    if (outer->first == 1)
        if (const auto inner = numbered(outer->second)) {
            const auto module = head.find(inner->first);
            return module == head.end() ? std::string(name)
                                        : module->second + "." + std::string(inner->second);
        }
    return sequential_body_name(name).value_or(std::string(name));
}

} // namespace

const std::vector<std::string>& body_weight_names() {
    static const std::vector<std::string> names = make_body_names();
    return names;
}

const std::vector<std::string>& head_weight_names() {
    static const std::vector<std::string> names = make_head_names();
    return names;
}

weight_name_mapping map_weight_names(std::span<const std::string> names, std::string_view file) {
    std::unordered_set<std::string_view> known(body_weight_names().begin(), body_weight_names().end());
    known.insert(head_weight_names().begin(), head_weight_names().end());
    const auto head = head_modules(names);
    weight_name_mapping result;
    std::unordered_map<std::string, std::size_t> taken;
    for (std::size_t i = 0; i < names.size(); ++i) {
        std::string name = translated(names[i], head);
        if (known.contains(name)) {
            const auto [first, is_new] = taken.emplace(name, i);
            if (!is_new)
                refuse(file, "both " + printable(names[first->second]) + " and " + printable(names[i]) +
                                 " mean " + name);
            result.used.push_back({i, std::move(name)});
        } else if (name.ends_with(count_suffix) || is_classifier(name)) {
            result.left_out.push_back(names[i]);
        } else {
            result.unknown.push_back(names[i]);
        }
    }
    return result;
}

} // namespace petnet::model
