// SPDX-License-Identifier: Apache-2.0
#include "app/settings_file.hpp"

#include "base/errors.hpp"
#include "base/files.hpp"

#include <algorithm>
#include <charconv>
#include <string_view>

namespace petnet::app {
namespace {

constexpr std::string_view blanks = " \t\r";

std::string_view trimmed(std::string_view text) {
    const std::size_t first = text.find_first_not_of(blanks);
    if (first == std::string_view::npos) return {};
    return text.substr(first, text.find_last_not_of(blanks) - first + 1);
}

std::string utf8(std::uint32_t code) {
    const auto byte = [](std::uint32_t value) {
        return static_cast<char>(static_cast<unsigned char>(value));
    };
    const auto tail = [&](int shift) { return byte(0x80U | (code >> shift & 0x3fU)); };
    if (code < 0x80) return {byte(code)};
    if (code < 0x800) return {byte(0xc0U | code >> 6), tail(0)};
    if (code < 0x10000) return {byte(0xe0U | code >> 12), tail(6), tail(0)};
    return {byte(0xf0U | code >> 18), tail(12), tail(6), tail(0)};
}

class line_reader {
  public:
    line_reader(const std::filesystem::path& file, std::size_t line) : file_(file), line_(line) {}

    [[noreturn]] void fail(const std::string& reason) const {
        throw input_error(file_.string() + ", line " + std::to_string(line_) + ": " + reason);
    }

    [[nodiscard]] std::string value(std::string_view text) const {
        if (text.starts_with("\"\"\"") || text.starts_with("\'\'\'")) fail("a string must end in its line");
        if (text.starts_with('[') || text.starts_with('{')) fail("a single value was expected, not a list");
        if (text.starts_with('\'')) {
            const std::size_t end = text.find('\'', 1);
            if (end == std::string_view::npos) fail("the string has no end");
            require_nothing(text.substr(end + 1));
            return std::string(text.substr(1, end - 1));
        }
        if (text.starts_with('"')) return basic_string(text.substr(1));
        const std::string_view bare = trimmed(text.substr(0, text.find('#')));
        if (bare.empty()) fail("the value is missing");
        return std::string(bare);
    }

    [[nodiscard]] std::string name(std::string_view text) const {
        if (text.size() >= 2 && (text.front() == '"' || text.front() == '\'') && text.back() == text.front())
            text = text.substr(1, text.size() - 2);
        const auto fits = [](char c) {
            return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' ||
                   c == '_' || c == '.';
        };
        if (text.empty() || !std::ranges::all_of(text, fits)) fail("name = value was expected");
        return std::string(text);
    }

    void require_nothing(std::string_view rest) const {
        rest = trimmed(rest);
        if (!rest.empty() && rest.front() != '#') fail("nothing but a comment may follow the value");
    }

  private:
    [[nodiscard]] std::string basic_string(std::string_view text) const {
        std::string result;
        for (std::size_t at = 0; at < text.size(); ++at) {
            if (text[at] == '"') {
                require_nothing(text.substr(at + 1));
                return result;
            }
            if (text[at] != '\\')
                result += text[at];
            else
                result += escape(text, ++at);
        }
        fail("the string has no end");
    }

    // The escape whose letter is at `at`, which moves to its last character.
    [[nodiscard]] std::string escape(std::string_view text, std::size_t& at) const {
        constexpr std::string_view letters = "btnfr\"\\", meanings = "\b\t\n\f\r\"\\";
        const char letter = at < text.size() ? text[at] : '\0';
        if (const std::size_t known = letters.find(letter); known != std::string_view::npos)
            return {meanings[known]};
        if (letter != 'u' && letter != 'U')
            fail("TOML has no such escape in a string (write \\\\ for a backslash, or use 'single quotes')");
        const std::size_t digits = letter == 'u' ? 4 : 8;
        const std::string_view number = text.substr(at + 1, digits);
        std::uint32_t code = 0;
        const auto [end, error] = std::from_chars(number.data(), number.data() + number.size(), code, 16);
        const bool surrogate = code >= 0xd800 && code < 0xe000;
        if (error != std::errc() || end != number.data() + digits || surrogate || code > 0x10ffff)
            fail("the string has an escape that is no character");
        at += digits;
        return utf8(code);
    }

    const std::filesystem::path& file_;
    std::size_t line_;
};

} // namespace

std::vector<setting> read_settings(const std::filesystem::path& file) {
    constexpr std::size_t longest = 1024 * 1024;
    const std::string content = read_text(file, longest);
    std::string_view text = content;
    const auto control = [](char c) {
        return static_cast<unsigned char>(c) < 0x20 && c != '\t' && c != '\r' && c != '\n';
    };
    if (std::ranges::any_of(text, control))
        throw input_error(file.string() + " is no text: a file of settings (TOML or INI) was expected");

    std::vector<setting> settings;
    std::string section;
    for (std::size_t number = 1; !text.empty(); ++number) {
        const line_reader reader(file, number);
        const std::size_t end = std::min(text.find('\n'), text.size());
        const std::string_view line = trimmed(text.substr(0, end));
        text.remove_prefix(std::min(end + 1, text.size()));
        if (line.empty() || line.front() == '#' || line.front() == ';') continue;
        if (line.front() == '[') {
            const std::size_t close = line.find(']');
            if (close == std::string_view::npos) reader.fail("the section has no closing bracket");
            section = reader.name(trimmed(line.substr(1, close - 1)));
            reader.require_nothing(line.substr(close + 1));
            continue;
        }
        const std::size_t equals = line.find('=');
        if (equals == std::string_view::npos) reader.fail("name = value was expected");
        std::string name = reader.name(trimmed(line.substr(0, equals))), within = section;
        if (const std::size_t dot = name.rfind('.'); dot != std::string::npos) {
            within += (within.empty() ? "" : ".") + name.substr(0, dot);
            name.erase(0, dot + 1);
        }
        settings.push_back({within, name, reader.value(trimmed(line.substr(equals + 1))), number});
    }
    return settings;
}

} // namespace petnet::app
