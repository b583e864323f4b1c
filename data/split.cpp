// SPDX-License-Identifier: Apache-2.0
#include "data/split.hpp"

#include "base/errors.hpp"
#include "base/files.hpp"
#include "base/random.hpp"

#include <algorithm>
#include <string>
#include <string_view>
#include <unordered_map>

namespace petnet::data {
namespace {

constexpr std::size_t longest_list = 256 * 1024 * 1024;

photo_split from_marks(const std::vector<bool>& validates, const std::string& what) {
    photo_split split;
    for (std::size_t i = 0; i < validates.size(); ++i)
        (validates[i] ? split.valid : split.train).push_back(i);
    if (split.valid.empty() || split.train.empty())
        throw input_error(what + " leaves " +
                          (split.valid.empty() ? "no photograph to validate" : "none to train") + " of " +
                          std::to_string(validates.size()));
    return split;
}

std::string_view trimmed(std::string_view line) {
    constexpr std::string_view blanks = " \t\r";
    const std::size_t from = line.find_first_not_of(blanks);
    if (from == std::string_view::npos) return {};
    return line.substr(from, line.find_last_not_of(blanks) - from + 1);
}

} // namespace

photo_split random_split(std::size_t count, double valid_fraction, std::uint64_t seed) {
    if (!(valid_fraction > 0 && valid_fraction < 1))
        throw usage_error("--valid-pct must lie between 0 and 1, not " + std::to_string(valid_fraction));
    const auto valid = static_cast<std::size_t>(valid_fraction * static_cast<double>(count));
    const std::vector<std::size_t> shuffled = random_permutation(count, random_key(seed).child("split"));
    std::vector<bool> validates(count, false);
    for (std::size_t i = 0; i < valid; ++i) validates[shuffled[i]] = true;
    return from_marks(validates, "the random split (--valid-pct)");
}

photo_split split_by_list(const image_folder& folder, const std::filesystem::path& list) {
    constexpr std::size_t ambiguous = static_cast<std::size_t>(-1);
    std::unordered_map<std::string_view, std::size_t> by_path;
    std::unordered_map<std::string_view, std::size_t> by_file_name;
    for (std::size_t i = 0; i < folder.photos.size(); ++i) {
        const std::string_view name = folder.photos[i].name;
        by_path.emplace(name, i);
        const auto [place, added] = by_file_name.emplace(name.substr(name.find_last_of('/') + 1), i);
        if (!added) place->second = ambiguous;
    }

    const std::vector<std::byte> bytes = read_file(list, longest_list);
    std::string_view rest(reinterpret_cast<const char*>(bytes.data()), bytes.size());
    std::vector<bool> validates(folder.photos.size(), false);
    for (std::size_t line_number = 1; !rest.empty(); ++line_number) {
        const std::size_t end = std::min(rest.find('\n'), rest.size());
        const std::string_view name = trimmed(rest.substr(0, end));
        rest.remove_prefix(std::min(end + 1, rest.size()));
        if (name.empty()) continue;
        const auto refuse = [&](const std::string& why) {
            throw input_error(list.string() + ", line " + std::to_string(line_number) + ": " +
                              std::string(name.substr(0, 300)) + ' ' + why);
        };
        auto place = by_path.find(name);
        if (place == by_path.end()) {
            place = by_file_name.find(name);
            if (place == by_file_name.end()) refuse("is not a photograph in " + folder.root.string());
            if (place->second == ambiguous)
                refuse("names several photographs in " + folder.root.string() +
                       ": write the path below that folder");
        }
        if (validates[place->second]) refuse("is named twice");
        validates[place->second] = true;
    }
    return from_marks(validates, list.string());
}

std::vector<std::size_t> epoch_order(const std::vector<std::size_t>& train, std::uint64_t seed,
                                     std::uint64_t epoch) {
    std::vector<std::size_t> order =
        random_permutation(train.size(), random_key(seed).child("shuffle").child(epoch));
    for (std::size_t& place : order) place = train[place];
    return order;
}

} // namespace petnet::data
