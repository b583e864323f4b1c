// SPDX-License-Identifier: Apache-2.0
#include "data/photo_names.hpp"

namespace petnet::data {
namespace {

namespace fs = std::filesystem;

void add(std::unordered_map<std::string_view, std::size_t>& names, std::string_view name, std::size_t photo) {
    const auto [place, added] = names.emplace(name, photo);
    if (!added) place->second = photo_names::several;
}

} // namespace

photo_names::photo_names(const image_folder& folder)
    : root_(fs::absolute(folder.root / "").lexically_normal().parent_path()) {
    for (std::size_t i = 0; i < folder.photos.size(); ++i) {
        const std::string_view name = folder.photos[i].name, file = name.substr(name.find_last_of('/') + 1);
        by_path_.emplace(name, i);
        add(by_file_name_, file, i);
        add(by_stem_, file.substr(0, file.find_last_of('.')), i);
    }
}

std::size_t photo_names::look_up(const index& names, std::string_view name) {
    const auto place = names.find(name);
    return place == names.end() ? none : place->second;
}

std::size_t photo_names::find(std::string_view name) const {
    if (name.empty()) return none;
    if (const std::size_t photo = look_up(by_path_, name); photo != none) return photo;
    const fs::path path = fs::path(name).lexically_normal();
    for (const fs::path& below :
         {path, fs::absolute(path).lexically_relative(root_), path.lexically_relative(root_.filename())})
        if (const std::size_t photo = look_up(by_path_, below.string()); photo != none) return photo;
    return look_up(by_file_name_, name);
}

std::size_t photo_names::find_stem(std::string_view stem) const { return look_up(by_stem_, stem); }

} // namespace petnet::data
