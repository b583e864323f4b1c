// SPDX-License-Identifier: Apache-2.0
#include "data/url.hpp"

#include <algorithm>

namespace petnet::data {

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

} // namespace petnet::data
