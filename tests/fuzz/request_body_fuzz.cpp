// SPDX-License-Identifier: Apache-2.0
// Any bytes as the body of a request: a refusal or photographs within it, nothing else. The first byte
// chooses the type.
#include "serve/refusal.hpp"
#include "serve/sent_photos.hpp"

#include <cstddef>
#include <cstdint>
#include <string_view>

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    if (size == 0) return 0;
    const bool form = *data % 2 == 0;
    const std::string_view body(reinterpret_cast<const char*>(data) + 1, size - 1);
    try {
        // A form's first line is its type, so that boundaries are tried as well.
        const std::size_t line = form ? body.find('\n') : std::string_view::npos;
        const petnet::serve::sent_photos photos(
            form ? "multipart/form-data; " + std::string(body.substr(0, line)) : "application/json",
            line == std::string_view::npos ? body : body.substr(line + 1), 10);
        for (const petnet::serve::sent_photo& photo : photos.list())
            if (photo.bytes.size() > size) __builtin_trap();
    } catch (const petnet::serve::refusal&) {
    }
    return 0;
}
