// SPDX-License-Identifier: Apache-2.0
// A folder of photographs as a data set: which of its folders are data, and whether they split it.
#pragma once

#include "data/image_folder.hpp"

#include <cstddef>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

namespace petnet::data {

// Folders below image_folder::root, as they are written there.
struct folder_split {
    std::string train, valid;
};

struct dataset_folder {
    // Photographs that are no data, as of a test set.
    struct left_alone {
        std::string where; // "test/", in words where it is no folder
        std::size_t photographs = 0;
    };

    image_folder photographs;
    std::optional<folder_split> split; // where folders say which photographs validate
    std::vector<left_alone> others;

    // What a reader of the command would not expect, a line each: photographs left alone, links that repeat.
    [[nodiscard]] std::vector<std::string> warnings() const;
};

// What open_image_folder() finds, less what is no data. Capitals in the names below do not matter.
//   images/      alone is the data set where no folder beside it, but for annotations/, holds photographs
//   train/ with valid/, val/ or validation/   are the data set, and the split. Where their photographs lie in
//                class folders, those that lie in none are left alone, as fastai's GrandparentSplitter does
//   train/       alone is the data set where only test/ lies beside it
// The same is looked for one level down where a single folder holds everything, as an archive leaves it.
// Everything else: all photographs are data.
[[nodiscard]] dataset_folder open_dataset_folder(const std::filesystem::path& folder, unsigned threads = 0);

} // namespace petnet::data
