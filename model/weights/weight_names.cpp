// SPDX-License-Identifier: Apache-2.0
#include "model/weights/weight_names.hpp"

#include "model/weights/refusal.hpp"
#include "model/weights/weight_sets.hpp"

#include <algorithm>
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

using name_set = std::unordered_set<std::string_view>;

const name_set& known_body() {
    static const name_set names(body_weight_names().begin(), body_weight_names().end());
    return names;
}
const name_set& known_head() {
    static const name_set names(head_weight_names().begin(), head_weight_names().end());
    return names;
}

// "module.layer1._orig_mod.0.conv1.weight" is "layer1.0.conv1.weight".
std::string without_wrappers(std::string_view name) {
    std::string result;
    for (;;) {
        const std::size_t dot = name.find('.');
        const std::string_view part = name.substr(0, dot);
        const bool last = dot == std::string_view::npos;
        if (last || (part != "module" && part != "_orig_mod")) result.append(part).append(last ? "" : ".");
        if (last) return result;
        name.remove_prefix(dot + 1);
    }
}

std::vector<std::string> without_wrappers(std::span<const std::string> names) {
    std::vector<std::string> result;
    for (const std::string_view name : names) result.push_back(without_wrappers(name));
    return result;
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

// petnet's name for one of the body that has lost its prefix; empty: it is none.
std::string body_name(std::string_view name) {
    if (known_body().contains(name)) return std::string(name);
    std::optional<std::string> translated = sequential_body_name(name);
    return translated && known_body().contains(*translated) ? *translated : std::string();
}

// Where fastai's head, an nn.Sequential at `place`, has its four layers: 2, 4, 6, 8 as a rule; dropout layers
// with probability 0 are left out of it and shift what follows. Batch-norm is known by its running mean.
std::map<int, std::string> head_modules(std::span<const std::string> names, std::string_view place) {
    std::map<int, bool> is_batch_norm;
    for (const std::string_view name : names) {
        if (!name.starts_with(place)) continue;
        if (const auto inner = numbered(name.substr(place.size())))
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

// The tensors of ResNet-34 behind one prefix.
struct prefixed_names {
    std::string_view prefix;
    std::unordered_set<std::string> body, head; // petnet's names

    [[nodiscard]] std::size_t size() const { return body.size() + head.size(); }
};

// All prefixes behind which any name is one of ResNet-34's; the best first: with most of its tensors, then by
// order_of_set, then the shortest, then the first in the file. The views are of `names`.
std::vector<prefixed_names> prefixes_of(std::span<const std::string> names) {
    constexpr int most_parts = 5; // layer1.0.downsample.1.weight
    std::vector<prefixed_names> found;
    std::unordered_map<std::string_view, std::size_t> places;
    const auto at = [&](std::string_view prefix) -> prefixed_names& {
        const auto [place, is_new] = places.emplace(prefix, found.size());
        if (is_new) found.push_back({prefix, {}, {}});
        return found[place->second];
    };
    for (const std::string_view name : names) {
        std::size_t dot = name.size();
        for (int parts = 1; parts <= most_parts && dot != std::string_view::npos; ++parts) {
            dot = dot == 0 ? std::string_view::npos : name.rfind('.', dot - 1);
            const std::size_t begin = dot == std::string_view::npos ? 0 : dot + 1;
            const std::string_view rest = name.substr(begin);
            if (std::string body = body_name(rest); !body.empty())
                at(name.substr(0, begin)).body.insert(std::move(body));
            else if (known_head().contains(rest))
                at(name.substr(0, begin)).head.emplace(rest);
        }
    }
    std::ranges::stable_sort(found, [](const prefixed_names& a, const prefixed_names& b) {
        if (a.size() != b.size()) return a.size() > b.size();
        const int order_a = order_of_set(a.prefix), order_b = order_of_set(b.prefix);
        return order_a != order_b ? order_a < order_b : a.prefix.size() < b.prefix.size();
    });
    return found;
}

// From a name without wrappers to petnet's, given where the body is.
class translator {
  public:
    translator(std::span<const std::string> names, std::string_view body_prefix) : prefix_(body_prefix) {
        // fastai's body is part 0 of a sequence, its head part 1.
        for (std::size_t at = 0; at < prefix_.size(); at = prefix_.find('.', at) + 1)
            if (prefix_.substr(at).starts_with("0.")) {
                std::string place = std::string(prefix_.substr(0, at)) + "1.";
                if (auto modules = head_modules(names, place); !modules.empty()) {
                    modules_ = std::move(modules);
                    modules_place_ = std::move(place);
                }
            }
    }

    // Empty: it is none of the network's.
    [[nodiscard]] std::string operator()(std::string_view name) const {
        if (name.starts_with(prefix_))
            if (std::string body = body_name(name.substr(prefix_.size())); !body.empty()) return body;
        if (!modules_.empty() && name.starts_with(modules_place_))
            if (const auto inner = numbered(name.substr(modules_place_.size()))) {
                std::string head = modules_.at(inner->first) + "." + std::string(inner->second);
                return known_head().contains(head) ? head : std::string();
            }
        // petnet's own head, at the body's prefix or above it.
        for (std::size_t at = 0; at != std::string_view::npos && at <= prefix_.size();) {
            if (name.starts_with(prefix_.substr(0, at)) && known_head().contains(name.substr(at)))
                return std::string(name.substr(at));
            const std::size_t dot = prefix_.find('.', at);
            at = dot == std::string_view::npos ? dot : dot + 1;
        }
        return {};
    }

  private:
    std::string_view prefix_;
    std::map<int, std::string> modules_;
    std::string modules_place_;
};

bool is_classifier(std::string_view name) {
    for (const std::string_view end : {"fc.weight", "fc.bias", "classifier.weight", "classifier.bias"})
        if (name == end || (name.ends_with(end) && name[name.size() - end.size() - 1] == '.')) return true;
    return false;
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

std::vector<std::string> torchvision_names(std::span<const std::string> names) {
    const std::vector<std::string> plain = without_wrappers(names);
    const auto prefixes = prefixes_of(plain);
    std::vector<std::string> result(names.size());
    if (prefixes.empty()) return result;
    const std::string_view prefix = prefixes[0].prefix;
    for (std::size_t i = 0; i < plain.size(); ++i)
        if (plain[i].starts_with(prefix)) {
            const std::string_view name = std::string_view(plain[i]).substr(prefix.size());
            result[i] = sequential_body_name(name).value_or(std::string(name));
        }
    return result;
}

std::size_t count_known_names(std::span<const std::string> names) {
    const std::vector<std::string> plain = without_wrappers(names);
    const auto prefixes = prefixes_of(plain);
    return prefixes.empty() ? 0 : prefixes[0].size();
}

weight_name_mapping map_weight_names(std::span<const std::string> names, std::string_view file) {
    const std::vector<std::string> plain = without_wrappers(names);
    const std::vector<prefixed_names> prefixes = prefixes_of(plain);
    weight_name_mapping result;
    std::vector<std::string_view> others;
    for (const prefixed_names& each : prefixes) {
        const bool is_first = result.prefixes.empty();
        if (!is_first && each.body.size() < body_weight_names().size()) continue;
        result.prefixes.emplace_back(each.prefix.substr(0, each.prefix.rfind('.')));
        if (!is_first) others.push_back(each.prefix);
    }
    const translator translate(plain, prefixes.empty() ? std::string_view() : prefixes[0].prefix);
    const auto belongs_to_another = [&](std::string_view name) {
        return std::ranges::any_of(others, [&](std::string_view prefix) { return name.starts_with(prefix); });
    };

    std::unordered_map<std::string, std::size_t> taken;
    for (std::size_t i = 0; i < names.size(); ++i) {
        std::string name = translate(plain[i]);
        if (!name.empty()) {
            const auto [first, is_new] = taken.emplace(name, i);
            if (!is_new)
                refuse(file, "both " + printable(names[first->second]) + " and " + printable(names[i]) +
                                 " mean " + name);
            result.used.push_back({i, std::move(name)});
        } else if (plain[i].ends_with(count_suffix) || is_classifier(plain[i]) ||
                   belongs_to_another(plain[i])) {
            result.left_out.push_back(names[i]);
        } else {
            result.unknown.push_back(names[i]);
        }
    }
    return result;
}

} // namespace petnet::model
