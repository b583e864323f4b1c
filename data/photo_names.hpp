// SPDX-License-Identifier: Apache-2.0
// Photographs found by what a list or a table calls them.
#pragma once

#include "data/image_folder.hpp"

#include <cstddef>
#include <filesystem>
#include <string>
#include <string_view>
#include <unordered_map>

namespace petnet::data {

class photo_names {
  public:
    static constexpr std::size_t none = static_cast<std::size_t>(-1), several = none - 1;

    // Refers to the folder's names.
    explicit photo_names(const image_folder& folder);

    // The index of the photograph that `name` means: its path below the folder, in any spelling (./a.jpg,
    // a//b.jpg); the path to it, absolute or from the current folder; that path below the folder around it
    // (images/a.jpg); or a bare file name. `several`: a file name that more than one photograph has.
    [[nodiscard]] std::size_t find(std::string_view name) const;

    // The same by a file name without its extension.
    [[nodiscard]] std::size_t find_stem(std::string_view stem) const;

  private:
    using index = std::unordered_map<std::string_view, std::size_t>;
    static std::size_t look_up(const index& names, std::string_view name);

    std::filesystem::path root_; // absolute
    index by_path_, by_file_name_, by_stem_;
};

} // namespace petnet::data
