// SPDX-License-Identifier: Apache-2.0
#include "model/weights/state_dicts.hpp"

#include "model/weights/refusal.hpp"
#include "model/weights/weight_names.hpp"
#include "model/weights/weight_sets.hpp"

#include <algorithm>
#include <unordered_set>

namespace petnet::model {
namespace {

constexpr int most_levels = 2; // below where the search begins

class state_dict_search {
  public:
    explicit state_dict_search(const pickle_machine& machine) : machine_(machine) {}

    struct candidate {
        pickle_value tensors;
        std::string place;
        std::size_t known_names = 0;
    };

    // In the order of the file, those of a level before the deeper ones.
    [[nodiscard]] std::vector<candidate> below(const pickle_value& root) const {
        struct level_entry {
            pickle_value dictionary;
            std::string place;
        };
        std::vector<candidate> found;
        std::unordered_set<std::uint32_t> seen{root.index}; // a file may refer to one dictionary often
        std::vector<level_entry> level{{root, ""}};
        for (int depth = 0; depth <= most_levels; ++depth) {
            std::vector<level_entry> deeper;
            for (const level_entry& entry : level) {
                if (std::vector<std::string> names = tensor_names(entry.dictionary); !names.empty())
                    found.push_back({entry.dictionary, entry.place, count_known_names(names)});
                for_each_entry(entry.dictionary, [&](std::string_view key, const pickle_value& value) {
                    if (value.kind != pickle_kind::dictionary || !seen.insert(value.index).second) return;
                    deeper.push_back(
                        {value, entry.place + (entry.place.empty() ? "" : ".") + std::string(key)});
                });
            }
            level = std::move(deeper);
        }
        return found;
    }

    // Goes from `at` into the dictionaries that `key` names, and leaves in it what names none.
    [[nodiscard]] pickle_value descend(pickle_value at, std::string_view& key) const {
        for (std::size_t length = key.size(); length != 0 && length != std::string_view::npos;) {
            const pickle_value* const value = member(at, key.substr(0, length));
            if (value != nullptr && value->kind == pickle_kind::dictionary) {
                at = *value;
                key.remove_prefix(std::min(length + 1, key.size()));
                length = key.size();
            } else {
                length = key.rfind('.', length - 1);
            }
        }
        return at;
    }

  private:
    template <class Function>
    void for_each_entry(const pickle_value& dictionary, const Function& function) const {
        const auto items = machine_.items(dictionary);
        for (std::size_t i = 0; i + 1 < items.size(); i += 2)
            if (items[i].kind == pickle_kind::text) function(machine_.text(items[i]), items[i + 1]);
    }

    [[nodiscard]] std::vector<std::string> tensor_names(const pickle_value& dictionary) const {
        std::vector<std::string> names;
        for_each_entry(dictionary, [&](std::string_view name, const pickle_value& value) {
            if (is_tensor(value)) names.emplace_back(name);
        });
        return names;
    }

    // The value of the last entry of that name.
    [[nodiscard]] const pickle_value* member(const pickle_value& dictionary, std::string_view name) const {
        const pickle_value* found = nullptr;
        for_each_entry(dictionary, [&](std::string_view key, const pickle_value& value) {
            if (key == name) found = &value;
        });
        return found;
    }

    const pickle_machine& machine_;
};

[[noreturn]] void refuse_without_state_dict(const pickle_machine& machine, const pickle_value& root,
                                            std::string_view file) {
    std::string keys;
    const auto items = machine.items(root);
    for (std::size_t i = 0; i + 1 < items.size() && i < 10; i += 2)
        keys += (i > 0 ? ", " : "") + printable(machine.text(items[i]));
    refuse(file,
           "it was written by torch.save, but holds no state dict; expected a dictionary of tensors, bare "
           "or under a key as 'model' or 'state_dict', and found " +
               (keys.empty() ? "an empty one" : "the keys " + keys));
}

} // namespace

bool is_tensor(const pickle_value& value) { return value.kind == pickle_kind::call; }

found_state_dict find_state_dict(const pickle_machine& machine, const pickle_value& root,
                                 std::string_view key, std::string_view file) {
    if (root.kind != pickle_kind::dictionary)
        refuse(file,
               "it was written by torch.save, but holds no state dict; expected a dictionary of tensors");
    const state_dict_search search(machine);
    found_state_dict result;
    const pickle_value begin = search.descend(root, key);
    auto candidates = search.below(begin);
    if (candidates.empty()) refuse_without_state_dict(machine, begin, file);

    std::size_t most = 0;
    for (const auto& each : candidates) most = std::max(most, each.known_names);
    std::erase_if(candidates, [&](const auto& each) { return each.known_names < most; });
    std::ranges::stable_sort(candidates, {}, [](const auto& each) { return order_of_set(each.place); });
    result.tensors = candidates[0].tensors;
    result.rest = key;
    if (most == 0) candidates.resize(1); // of another network: nothing to choose from
    for (auto& each : candidates) result.places.push_back(std::move(each.place));
    return result;
}

} // namespace petnet::model
