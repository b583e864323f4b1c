// SPDX-License-Identifier: Apache-2.0
#include "data/split.hpp"

#include "base/errors.hpp"
#include "base/files.hpp"
#include "base/random.hpp"
#include "data/photo_names.hpp"

#include <algorithm>
#include <string>
#include <string_view>

namespace petnet::data {
namespace {

constexpr std::size_t longest_list = 256 * 1024 * 1024;

std::string_view trimmed(std::string_view line) {
    constexpr std::string_view blanks = " \t\r";
    const std::size_t from = line.find_first_not_of(blanks);
    if (from == std::string_view::npos) return {};
    return line.substr(from, line.find_last_not_of(blanks) - from + 1);
}

// A name in quotation marks: what a list says by its lines, and marks and backslashes, have a backslash
// before them.
std::string escaped(std::string_view name) {
    std::string text = "\"";
    for (const char c : name) {
        if (c == '\n' || c == '\r') {
            text += c == '\n' ? "\\n" : "\\r";
        } else {
            if (c == '"' || c == '\\') text += '\\';
            text += c;
        }
    }
    return text + '"';
}

// The name that a line means. A line that only looks like a quoted name is a name.
std::string name_in(std::string_view line) {
    if (line.size() < 2 || line.front() != '"' || line.back() != '"') return std::string(line);
    std::string name;
    for (std::size_t i = 1; i + 1 < line.size(); ++i) {
        if (line[i] != '\\') {
            name += line[i];
            continue;
        }
        if (++i + 1 == line.size()) return std::string(line);
        name += line[i] == 'n' ? '\n' : line[i] == 'r' ? '\r' : line[i];
    }
    return name;
}

// Of a line of the data set's own trainval.txt and test.txt, "Abyssinian_100 1 1 1", the first word; else
// nothing.
std::string_view oxford_name(std::string_view line) {
    const std::size_t end = std::min(line.find(' '), line.size());
    const std::string_view numbers = line.substr(end);
    const bool fits = numbers.find_first_not_of(" 0123456789") == std::string_view::npos &&
                      std::ranges::count(numbers, ' ') == 3;
    return fits ? line.substr(0, end) : std::string_view();
}

} // namespace

photo_split split_by_marks(const std::vector<bool>& validates, const std::string& what) {
    photo_split split;
    for (std::size_t i = 0; i < validates.size(); ++i)
        (validates[i] ? split.valid : split.train).push_back(i);
    if (split.valid.empty() || split.train.empty())
        throw input_error(what + " leaves " +
                          (split.valid.empty() ? "no photograph to validate" : "none to train") + " of " +
                          std::to_string(validates.size()));
    return split;
}

photo_split random_split(std::size_t count, double valid_fraction, std::uint64_t seed) {
    if (!(valid_fraction > 0 && valid_fraction < 1))
        throw usage_error("--valid-pct must lie between 0 and 1, not " + std::to_string(valid_fraction));
    const auto valid = static_cast<std::size_t>(valid_fraction * static_cast<double>(count));
    const std::vector<std::size_t> shuffled = random_permutation(count, random_key(seed).child("split"));
    std::vector<bool> validates(count, false);
    for (std::size_t i = 0; i < valid; ++i) validates[shuffled[i]] = true;
    return split_by_marks(validates, "the random split (--valid-pct)");
}

photo_split split_by_list(const image_folder& folder, const std::filesystem::path& list) {
    const photo_names names(folder);
    const std::string text = read_text(list, longest_list);
    std::string_view rest = text;
    std::vector<bool> validates(folder.photos.size(), false);
    for (std::size_t line_number = 1; !rest.empty(); ++line_number) {
        const std::size_t end = std::min(rest.find('\n'), rest.size());
        const std::string name = name_in(trimmed(rest.substr(0, end)));
        rest.remove_prefix(std::min(end + 1, rest.size()));
        if (name.empty()) continue;
        const auto refuse = [&](const std::string& why) {
            throw input_error(list.string() + ", line " + std::to_string(line_number) + ": " +
                              name.substr(0, 300) + ' ' + why);
        };
        std::size_t photo = names.find(name);
        if (photo == photo_names::none && name.front() == '#') continue; // a comment, as in Oxford's list.txt
        if (photo == photo_names::none) photo = names.find_stem(oxford_name(name));
        if (photo == photo_names::none) refuse("is not a photograph in " + folder.root.string());
        if (photo == photo_names::several)
            refuse("names several photographs in " + folder.root.string() +
                   ": write the path below that folder");
        if (validates[photo]) refuse("is named twice");
        validates[photo] = true;
    }
    return split_by_marks(validates, list.string());
}

std::string list_of(const std::vector<std::string>& names) {
    std::string text;
    for (const std::string& name : names) {
        const bool plain = name.find_first_of("\r\n") == std::string::npos && !name.starts_with('"') &&
                           trimmed(name) == name;
        text += (plain ? name : escaped(name)) + '\n';
    }
    return text;
}

photo_split split_by_folders(const image_folder& folder, const folder_split& split) {
    std::vector<bool> validates;
    for (const photo_entry& photo : folder.photos)
        validates.push_back(photo.name.starts_with(split.valid + '/'));
    return split_by_marks(validates, "the split by " + split.train + "/ and " + split.valid + "/");
}

std::vector<std::size_t> epoch_order(const std::vector<std::size_t>& train, std::uint64_t seed,
                                     std::uint64_t epoch) {
    std::vector<std::size_t> order =
        random_permutation(train.size(), random_key(seed).child("shuffle").child(epoch));
    for (std::size_t& place : order) place = train[place];
    return order;
}

} // namespace petnet::data
