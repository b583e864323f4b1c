// SPDX-License-Identifier: Apache-2.0
#include "serve/base64.hpp"

#include <algorithm>
#include <limits>

#include <openssl/evp.h>

namespace petnet::serve {

std::optional<std::string> from_base64(std::string_view text) {
    std::string joined;
    if (text.find_first_of("\r\n") != std::string_view::npos) {
        joined = text;
        std::erase_if(joined, [](char c) { return c == '\r' || c == '\n'; });
        text = joined;
    }
    if (text.size() % 4 != 0 || text.size() > std::numeric_limits<int>::max()) return {};
    const std::size_t padding = text.size() - std::min(text.find_last_not_of('=') + 1, text.size());
    // OpenSSL takes blanks around the text, and padding anywhere.
    if (padding > 2 || text.substr(0, text.size() - padding).find_first_of("= \t") != std::string_view::npos)
        return {};
    std::string bytes(text.size() / 4 * 3, '\0');
    if (EVP_DecodeBlock(reinterpret_cast<unsigned char*>(bytes.data()),
                        reinterpret_cast<const unsigned char*>(text.data()),
                        static_cast<int>(text.size())) != static_cast<int>(bytes.size()))
        return {};
    bytes.resize(bytes.size() - padding);
    return bytes;
}

} // namespace petnet::serve
