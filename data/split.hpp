// SPDX-License-Identifier: Apache-2.0
// Which photographs train and which validate, and the order of an epoch.
#pragma once

#include "data/dataset_folder.hpp"

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

namespace petnet::data {

// Indices into image_folder::photos, both ascending; together every photograph once.
struct photo_split {
    std::vector<std::size_t> train;
    std::vector<std::size_t> valid;
};

// fastai's RandomSplitter: the first int(valid_fraction * count) of a random permutation validate (the
// permutation of random_key(seed).child("split")). usage_error unless 0 < valid_fraction < 1; input_error
// where either side would be empty.
[[nodiscard]] photo_split random_split(std::size_t count, double valid_fraction, std::uint64_t seed);

// The validation set is what the text file `list` names: one photograph a line, as photo_names::find() takes
// it, or as list_of() writes it, or in the lines of the Oxford-IIIT Pet data set's own lists ("Abyssinian_100
// 1 1 1", comments after '#'). Blank lines and blanks around names do not matter, nor do CR LF and a byte
// order mark. input_error naming the line: not in the folder, named twice, ambiguous; also where either side
// would be empty.
[[nodiscard]] photo_split split_by_list(const image_folder& folder, const std::filesystem::path& list);

// A text that names the photographs, one a line. A name that could not be read back is quoted, with \n, \r,
// \" and \\ for what cannot stand in a line.
[[nodiscard]] std::string list_of(const std::vector<std::string>& names);

// The validation set is what lies in the folder split.valid, as fastai's GrandparentSplitter has it.
[[nodiscard]] photo_split split_by_folders(const image_folder& folder, const folder_split& split);

// The validation set is what is marked, one mark for each photograph; `what` says by what. input_error where
// either side would be empty.
[[nodiscard]] photo_split split_by_marks(const std::vector<bool>& validates, const std::string& what);

// The training photographs in the order of an epoch (counted from 0 over the whole run): a random permutation
// under random_key(seed).child("shuffle").child(epoch), a function of its arguments only.
[[nodiscard]] std::vector<std::size_t> epoch_order(const std::vector<std::size_t>& train, std::uint64_t seed,
                                                   std::uint64_t epoch);

} // namespace petnet::data
