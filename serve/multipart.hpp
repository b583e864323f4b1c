// SPDX-License-Identifier: Apache-2.0
// multipart/form-data (RFC 7578). cpp-httplib has a parser too: its regular expressions take time and stack
// that a hostile header decides on, and it loses the order of the parts.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace petnet::serve {

struct form_part {
    std::string file;      // the filename, empty where there is none
    std::string type;      // Content-Type, empty where there is none
    std::string_view data; // into the body
};

// The parts of `body` in their order, as `content_type` (the header's whole value) divides it. refusal 400:
// it is not of that form; 413: more than `most` parts.
[[nodiscard]] std::vector<form_part> parse_form(std::string_view content_type, std::string_view body,
                                                std::size_t most);

} // namespace petnet::serve
