// SPDX-License-Identifier: Apache-2.0
#include "net/url.hpp"

#include <algorithm>

namespace petnet::net {

std::string shown_url(std::string_view url) {
    url = url.substr(0, url.find_first_of("?#"));
    const std::size_t scheme = url.find("://");
    const std::size_t host = scheme == std::string_view::npos ? 0 : scheme + 3;
    const std::size_t path = std::min(url.find('/', host), url.size());
    const std::size_t at = url.substr(0, path).rfind('@');
    const std::size_t shown_from = at == std::string_view::npos || at < host ? host : at + 1;
    return std::string(url.substr(0, host)) + std::string(url.substr(shown_from));
}

std::string file_name_of_url(std::string_view url) {
    const std::string shown = shown_url(url);
    return shown.substr(shown.rfind('/') + 1);
}

std::string escaped_for_url(std::string_view text) {
    constexpr std::string_view hexadecimal = "0123456789ABCDEF";
    constexpr std::string_view unreserved = "-._~";
    std::string result;
    for (const char c : text) {
        const auto byte = static_cast<unsigned char>(c);
        const bool plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
                           unreserved.find(c) != std::string_view::npos;
        if (plain)
            result += c;
        else
            result += {'%', hexadecimal[byte >> 4U], hexadecimal[byte & 15U]};
    }
    return result;
}

} // namespace petnet::net
