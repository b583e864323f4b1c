// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "data/decode.hpp"
#include "data/resize.hpp"

#include <cstddef>
#include <span>
#include <string_view>

namespace petnet::data {

// A photograph's bytes, decoded and half resized (cut_square finishes it). Errors as decode's, and where its
// sides differ so much that resizing would take more than max_decode_bytes. Any thread; each keeps the
// storage of ordinary photographs to use it again.
[[nodiscard]] half_resized resized_photo(std::span<const std::byte> bytes, std::string_view display_name,
                                         std::size_t size, orientation turned = orientation::as_stored);

} // namespace petnet::data
