// SPDX-License-Identifier: Apache-2.0
// Photographs in JSON:
//     {"image": PHOTO}   {"images": [PHOTO, ...]}      PHOTO: "BASE64" or {"file": "cat.jpg", "data":
//     "BASE64"}
// BASE64 may be a data URL ("data:image/jpeg;base64,...").
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace petnet::serve {

struct json_photo {
    std::string file;  // empty where it has none
    std::string bytes; // decoded
};

// refusal 400: it is no JSON, not of this form, or no base64; 413: more than `most` photographs. It is read
// as it comes, never as a tree, of which a small body could make a huge one.
[[nodiscard]] std::vector<json_photo> parse_json_photos(std::string_view body, std::size_t most);

} // namespace petnet::serve
