// SPDX-License-Identifier: Apache-2.0
#include "serve/sent_photos.hpp"

#include "serve/multipart.hpp"
#include "serve/refusal.hpp"
#include "serve/words.hpp"

#include <utility>

namespace petnet::serve {

sent_photos::sent_photos(std::string_view type, std::string_view body, std::size_t most) {
    constexpr std::size_t words = 16; // fields of a form that are no photographs
    if (same_word(before_parameters(type), "multipart/form-data")) {
        for (const form_part& part : parse_form(type, body, most + words)) {
            if (part.file.empty() && part.type.empty()) continue;
            if (photos_.size() == most)
                throw refusal(413, "more than " + std::to_string(most) + " photographs");
            add(part.file, part.data);
        }
    } else if (same_word(before_parameters(type), "application/json")) {
        decoded_ = parse_json_photos(body, most);
        for (const json_photo& photo : decoded_) add(photo.file, photo.bytes);
    } else if (!body.empty()) {
        add({}, body);
    }
    if (photos_.empty())
        throw refusal(400,
                      "no photograph in the request: its bytes were expected, files of a form, or JSON with "
                      "base64");
}

void sent_photos::add(std::string file, std::string_view bytes) {
    if (file.empty())
        file = photos_.empty() ? "photograph" : "photograph " + std::to_string(photos_.size() + 1);
    photos_.push_back({std::move(file), std::as_bytes(std::span(bytes))});
}

} // namespace petnet::serve
