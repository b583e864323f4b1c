// SPDX-License-Identifier: Apache-2.0
// The photographs that a command line names.
#pragma once

#include "data/image_folder.hpp"

#include <istream>
#include <string>
#include <vector>

namespace petnet::app {

// In the order of `arguments`, each of which is a file; a folder, whose photographs at any depth are meant
// (data::open_image_folder); a pattern of glob(7), where no file has that very name; or "-": one of these a
// line of `list`. What cannot be found, is no regular file, or a folder without photographs, is among the
// broken. The root is empty: names are as given, and begin with the folder's where one is named.
// usage_error where "-" is given twice.
[[nodiscard]] data::image_folder photos_named(const std::vector<std::string>& arguments, std::istream& list);

} // namespace petnet::app
