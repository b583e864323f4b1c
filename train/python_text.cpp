// SPDX-License-Identifier: Apache-2.0
#include "train/python_text.hpp"

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>
#include <cstdint>
#include <cstdlib>
#include <vector>

namespace petnet::train {
namespace {

// sign * 0.d1d2d3... * 10^(exponent+1), d1 being 0 for zero alone.
struct decimal {
    bool negative = false;
    std::string digits;
    int exponent = 0; // of the first digit
};

decimal read(const char* begin, const char* end) {
    std::string text(begin, end);
    decimal result;
    result.negative = text[0] == '-';
    const std::size_t e = text.find('e');
    for (const char c : text.substr(0, e))
        if (c >= '0' && c <= '9') result.digits += c;
    result.exponent = static_cast<int>(std::strtol(text.c_str() + e + 1, nullptr, 10));
    while (result.digits.size() > 1 && result.digits.back() == '0') result.digits.pop_back();
    return result;
}

// The fewest digits that read back as the same float.
decimal shortest(double value) {
    std::array<char, 40> text{};
    return read(
        text.data(),
        std::to_chars(text.data(), text.data() + text.size(), value, std::chars_format::scientific).ptr);
}

std::string exponent_text(int exponent) {
    const std::string digits = std::to_string(std::abs(exponent));
    return (exponent < 0 ? "e-" : "e+") + (digits.size() < 2 ? "0" + digits : digits);
}

// "12.5", "0.002", "100000."
std::string positional(const decimal& number) {
    std::string text = number.negative ? "-" : "";
    const int whole = number.exponent + 1; // digits before the point
    for (int i = 0; i < whole; ++i)
        text += i < static_cast<int>(number.digits.size()) ? number.digits[static_cast<std::size_t>(i)] : '0';
    if (whole <= 0) text += '0';
    text += '.';
    for (int i = whole; i < 0; ++i) text += '0';
    if (static_cast<int>(number.digits.size()) > std::max(whole, 0))
        text += number.digits.substr(static_cast<std::size_t>(std::max(whole, 0)));
    if (number.digits == "0") return number.negative ? "-0." : "0.";
    return text;
}

constexpr int numpy_precision = 8; // digits behind the point

// No more than numpy prints behind the point.
decimal rounded(double value, std::chars_format format) {
    decimal all = shortest(value);
    const bool scientific = format == std::chars_format::scientific;
    const int behind = static_cast<int>(all.digits.size()) - 1 - (scientific ? 0 : all.exponent);
    if (behind <= numpy_precision) return all;
    std::array<char, 400> text{};
    const char* const end =
        std::to_chars(text.data(), text.data() + text.size(), value, format, numpy_precision).ptr;
    if (scientific) return read(text.data(), end);
    double back = 0;
    std::from_chars(text.data(), end, back);
    return shortest(back);
}

} // namespace

std::string python_repr(double value) {
    const decimal number = shortest(value);
    constexpr int smallest = -4, largest = 16; // exponents
    if (number.exponent >= smallest && number.exponent < largest) {
        const std::string text = positional(number);
        return text.ends_with('.') ? text + "0" : text;
    }
    std::string text = (number.negative ? "-" : "") + number.digits.substr(0, 1);
    if (number.digits.size() > 1) text += "." + number.digits.substr(1);
    return text + exponent_text(number.exponent);
}

std::string python_list(std::span<const double> values) {
    std::string text = "[";
    for (const double value : values) text += (text.size() > 1 ? ", " : "") + python_repr(value);
    return text + "]";
}

std::string numpy_text(std::span<const double> values) {
    double largest = 0, smallest = HUGE_VAL; // of those that are not 0
    for (const double value : values) {
        if (value == 0) continue;
        largest = std::max(largest, std::abs(value));
        smallest = std::min(smallest, std::abs(value));
    }
    const bool scientific = largest >= 1e8 || (largest > 0 && (smallest < 1e-4 || largest / smallest > 1000));
    std::vector<std::string> texts;
    std::size_t digits = 0;
    if (scientific) {
        std::vector<decimal> numbers;
        for (const double value : values) {
            numbers.push_back(rounded(value, std::chars_format::scientific));
            digits = std::max(digits, numbers.back().digits.size());
        }
        for (decimal& number : numbers) {
            number.digits.resize(digits, '0');
            texts.push_back((number.negative ? "-" : "") + number.digits.substr(0, 1) + "." +
                            number.digits.substr(1) + exponent_text(number.exponent));
        }
    } else {
        for (const double value : values)
            texts.push_back(positional(rounded(value, std::chars_format::fixed)));
    }
    // In columns, by the point.
    std::size_t before = 0, behind = 0;
    for (const std::string& text : texts) {
        before = std::max(before, text.find('.'));
        behind = std::max(behind, text.size() - text.find('.'));
    }
    std::string line = "[";
    for (const std::string& text : texts) {
        const std::size_t point = text.find('.');
        line += (line.size() > 1 ? " " : "") + std::string(before - point, ' ') + text +
                std::string(behind - (text.size() - point), ' ');
    }
    return line + "]";
}

} // namespace petnet::train
