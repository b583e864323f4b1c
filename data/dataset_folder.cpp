// SPDX-License-Identifier: Apache-2.0
#include "data/dataset_folder.hpp"

#include "base/errors.hpp"

#include <algorithm>
#include <array>
#include <cctype>
#include <initializer_list>
#include <map>
#include <string_view>
#include <utility>

namespace petnet::data {
namespace {

// The folders directly below `base` and how many photographs each holds, broken ones included; "" stands for
// those that lie in none.
std::map<std::string, std::size_t> folders_of(const image_folder& folder, std::string_view base) {
    std::map<std::string, std::size_t> counts;
    const auto count = [&](std::string_view name) {
        if (!name.starts_with(base)) return;
        name.remove_prefix(base.size());
        const std::size_t slash = name.find('/');
        ++counts[std::string(slash == std::string_view::npos ? std::string_view() : name.substr(0, slash))];
    };
    for (const photo_entry& photo : folder.photos) count(photo.name);
    for (const broken_photo& photo : folder.broken) count(photo.name);
    return counts;
}

bool is_called(std::string_view folder, std::initializer_list<std::string_view> names) {
    return std::ranges::any_of(names, [&](std::string_view name) {
        return std::ranges::equal(folder, name, {}, [](unsigned char c) { return std::tolower(c); });
    });
}

// The first folder of that name; empty where there is none.
std::string find_folder(const std::map<std::string, std::size_t>& folders,
                        std::initializer_list<std::string_view> names) {
    const auto found =
        std::ranges::find_if(folders, [&](const auto& f) { return is_called(f.first, names); });
    return found == folders.end() ? std::string() : found->first;
}

// Removes photographs and other files whose names `stays` refuses; how many photographs.
template <class Predicate> std::size_t keep(image_folder& folder, const Predicate& stays) {
    const std::size_t photographs =
        std::erase_if(folder.photos, [&](const auto& p) { return !stays(p.name); });
    std::erase_if(folder.skipped, [&](const std::string& name) { return !stays(name); });
    return photographs + std::erase_if(folder.broken, [&](const auto& p) { return !stays(p.name); });
}

// Names become relative to `base`, a folder with a '/' at its end, which becomes the root.
void enter(image_folder& folder, const std::string& base) {
    keep(folder, [&](const std::string& name) { return name.starts_with(base); });
    folder.root /= base.substr(0, base.size() - 1);
    for (photo_entry& photo : folder.photos) photo.name.erase(0, base.size());
    for (std::string& name : folder.skipped) name.erase(0, base.size());
    for (broken_photo& photo : folder.broken) {
        if (photo.reason.starts_with(base)) photo.reason.erase(0, base.size()); // reasons begin with the name
        photo.name.erase(0, base.size());
    }
}

// Photographs that lie directly in the parts of a split, where others of them lie in class folders.
void leave_unclassified(dataset_folder& set, const std::vector<std::string>& parts) {
    for (const std::string& part : parts) {
        const std::map<std::string, std::size_t> folders = folders_of(set.photographs, part + '/');
        const auto loose = folders.find("");
        if (loose == folders.end() || folders.size() == 1) continue;
        set.others.push_back({part + "/ itself, beside its folders", loose->second});
        keep(set.photographs, [&](std::string_view name) {
            return !name.starts_with(part + '/') || name.find('/', part.size() + 1) != std::string_view::npos;
        });
    }
}

// Keeps the folders `parts` of those that lie below the root.
void keep_parts(dataset_folder& set, const std::map<std::string, std::size_t>& folders,
                const std::vector<std::string>& parts) {
    for (const auto& [name, photographs] : folders)
        if (std::ranges::find(parts, name) == parts.end())
            set.others.push_back(
                {name.empty() ? "the folder itself, beside its folders" : name + '/', photographs});
    keep(set.photographs, [&](std::string_view name) {
        return std::ranges::any_of(parts,
                                   [&](const std::string& part) { return name.starts_with(part + '/'); });
    });
    leave_unclassified(set, parts);
}

// Whether what lies directly below `base` is one of the layouts; `set` is made to be it then.
bool recognise(dataset_folder& set, const std::string& base) {
    std::map<std::string, std::size_t> folders = folders_of(set.photographs, base);
    const auto holds_only = [&](std::initializer_list<std::string_view> names) {
        return std::ranges::all_of(folders, [&](const auto& f) { return is_called(f.first, names); });
    };
    if (folders.contains("images") && holds_only({"images", "annotations", ""})) {
        if (const auto loose = folders.find(""); loose != folders.end())
            set.others.push_back({"the folder of images/", loose->second});
        if (!recognise(set, base + "images/")) enter(set.photographs, base + "images/");
        return true;
    }
    const std::string train = find_folder(folders, {"train"}), test = find_folder(folders, {"test"}),
                      valid = find_folder(folders, {"valid", "val", "validation"});
    if (train.empty() || (valid.empty() && (test.empty() || !holds_only({"train", "test"})))) return false;
    if (!base.empty()) enter(set.photographs, base);
    if (valid.empty()) {
        keep_parts(set, folders, {train});
    } else {
        set.split = folder_split{train, valid};
        keep_parts(set, folders, {train, valid});
    }
    return true;
}

} // namespace

std::vector<std::string> dataset_folder::warnings() const {
    std::vector<std::string> lines;
    for (const left_alone& other : others)
        lines.push_back(std::to_string(other.photographs) + " photographs in " + other.where +
                        " are left alone: they neither train nor validate");
    if (photographs.repeated > 0)
        lines.push_back(std::to_string(photographs.repeated) +
                        " links lead to files or folders that are there already; each counts once");
    return lines;
}

dataset_folder open_dataset_folder(const std::filesystem::path& folder, unsigned threads) {
    dataset_folder set{.photographs = open_image_folder(folder, threads), .split = {}, .others = {}};
    if (!recognise(set, "")) {
        const std::map<std::string, std::size_t> folders = folders_of(set.photographs, "");
        if (folders.size() == 1) recognise(set, folders.begin()->first + '/');
    }
    if (set.photographs.photos.empty())
        throw input_error("no photograph in " + set.photographs.root.string() +
                          " can be read, the first is " + set.photographs.broken.front().reason);
    return set;
}

} // namespace petnet::data
