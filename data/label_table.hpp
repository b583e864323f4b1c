// SPDX-License-Identifier: Apache-2.0
// Labels from a table: one photograph a row, as fastai's ImageDataLoaders.from_csv reads it.
#pragma once

#include "data/image_folder.hpp"

#include <cstddef>
#include <filesystem>
#include <string>
#include <vector>

namespace petnet::data {

// Columns of a table: the name that its header has for them, or a number from 0 on, as in fastai.
struct table_columns {
    std::string file, label; // empty: 0 and 1
    std::string valid;       // whether a photograph validates; empty: no column says so
};

struct table_labels {
    std::vector<std::string> of_photo; // for each of the folder's photographs that are left
    std::vector<bool> validates;       // likewise; empty where no column says so
    struct broken_row {
        std::string label, reason;
    };
    std::vector<broken_row> broken; // of rows whose photographs are broken or not there
    std::size_t not_listed = 0;     // photographs that were left out of the folder, as no row names them
};

// Reads the table `file` (read_delimited()). Its rows name photographs as photo_names::find() takes them, or
// without their extension. The first row is a header where a column is given by its name, and where its file
// has no extension and is no photograph. Photographs that no row names are taken out of `folder`; rows that
// name none are added to its broken photographs. The column `valid` holds true or false, 1 or 0, or train or
// valid. input_error, naming the line: a column that is not there, an empty label, a file of two labels, a
// name that several photographs have; also where no row names a photograph of the folder.
[[nodiscard]] table_labels read_label_table(image_folder& folder, const std::filesystem::path& file,
                                            const table_columns& columns);

} // namespace petnet::data
