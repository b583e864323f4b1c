// SPDX-License-Identifier: Apache-2.0
// Which run this is, as text: its options, its data, its weights.
#pragma once

#include "data/image_folder.hpp"
#include "data/labels.hpp"
#include "data/split.hpp"
#include "train/options.hpp"

#include <nlohmann/json_fwd.hpp>
#include <string>

namespace petnet::train {

// JSON and safetensors hold UTF-8 only; file names on a disk may hold anything.
[[nodiscard]] bool is_utf8(const std::string& text);

[[nodiscard]] nlohmann::json options_json(const train_options& options);

// A hash of everything that decides what is learned, and of nothing that does not: a continued run may have
// other threads, and its folders may be mounted elsewhere. `precision` is the one chosen: "auto" may choose
// another one on another machine. `weights` is the hash of their file, and the key of the set in it that was
// named. The labels themselves count, not the file of a table that they come from.
[[nodiscard]] std::string identity_of(const train_options& options, const std::string& precision,
                                      const std::string& weights, const data::image_folder& folder,
                                      const data::photo_labels& labels, const data::photo_split& split);

} // namespace petnet::train
