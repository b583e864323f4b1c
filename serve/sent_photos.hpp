// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "serve/json_photos.hpp"

#include <cstddef>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace petnet::serve {

struct sent_photo {
    std::string file; // as the sender calls it; else "photograph", "photograph 2", ...
    std::span<const std::byte> bytes;
};

// The photographs of a request's body, which lives as long as this; its bytes are not copied but from base64.
class sent_photos {
  public:
    // `type` is the value of Content-Type. multipart/form-data: each part with a filename or a type of its
    // own is a photograph. application/json: as json_photos.hpp says. Whatever else (image/jpeg,
    // application/octet-stream, none): the body is a photograph; what it shows is told by its content.
    // refusal 400: none, or not of its type's form; 413: more than `most`.
    sent_photos(std::string_view type, std::string_view body, std::size_t most);
    sent_photos(const sent_photos&) = delete; // its views point into it
    sent_photos& operator=(const sent_photos&) = delete;

    [[nodiscard]] const std::vector<sent_photo>& list() const { return photos_; }

  private:
    void add(std::string file, std::string_view bytes);

    std::vector<json_photo> decoded_;
    std::vector<sent_photo> photos_;
};

} // namespace petnet::serve
