// SPDX-License-Identifier: Apache-2.0
// `petnet inspect` of a folder of photographs.
#pragma once

#include "data/labels.hpp"

#include <filesystem>

namespace petnet::app {

// Decodes every photograph and prints classes, sizes, and what training would leave out and why. `labels`:
// its rule empty: the one that seems to be meant. `sheet`: where to write a contact sheet, empty: nowhere.
// Errors as of base/errors.hpp.
void inspect_folder(const std::filesystem::path& path, data::labelling labels,
                    const std::filesystem::path& sheet);

} // namespace petnet::app
