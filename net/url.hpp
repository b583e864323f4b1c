// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <string_view>

namespace petnet::net {

// Without what may be secret in it, to be shown and written: a user's name and password before the host, and
// all behind a '?' (signatures of storage services).
[[nodiscard]] std::string shown_url(std::string_view url);

// "images.tar.gz" of "https://host/pets/images.tar.gz?token"; empty where the path ends with a '/'.
[[nodiscard]] std::string file_name_of_url(std::string_view url);

// For a place between two '/' of a path, or a value behind a '?': all but letters, digits and -._~ as %XX.
[[nodiscard]] std::string escaped_for_url(std::string_view text);

} // namespace petnet::net
