// SPDX-License-Identifier: Apache-2.0
#include "app/byte_size.hpp"

#include <cctype>
#include <charconv>
#include <cmath>
#include <string>

namespace petnet::app {

std::optional<std::uint64_t> byte_size(std::string_view text) {
    double number = 0;
    const char* const all = text.data() + text.size();
    const auto [behind, error] = std::from_chars(text.data(), all, number, std::chars_format::fixed);
    if (error != std::errc()) return {};
    std::string unit;
    for (const char letter : std::string_view(behind, static_cast<std::size_t>(all - behind)))
        if (letter != ' ') unit += static_cast<char>(std::tolower(static_cast<unsigned char>(letter)));
    if (!unit.empty() && unit.back() == 'b') unit.pop_back();
    const bool binary = unit.size() == 2 && unit.back() == 'i';
    if (binary) unit.pop_back();
    constexpr std::string_view prefixes = "kmgt";
    const std::size_t prefix = unit.empty() ? 0 : prefixes.find(unit) + 1;
    if (!unit.empty() && (unit.size() != 1 || prefix == 0)) return {};
    const double bytes = number * std::pow(binary ? 1024.0 : 1000.0, static_cast<double>(prefix));
    if (!(bytes >= 0 && bytes < 0x1p63)) return {};
    return static_cast<std::uint64_t>(bytes);
}

} // namespace petnet::app
