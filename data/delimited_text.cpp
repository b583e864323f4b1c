// SPDX-License-Identifier: Apache-2.0
#include "data/delimited_text.hpp"

#include "base/errors.hpp"

#include <algorithm>
#include <array>

namespace petnet::data {
namespace {

bool ends_line(char c) { return c == '\n' || c == '\r'; }

char separator_of(std::string_view text) {
    constexpr std::array<char, 3> separators{',', '\t', ';'};
    std::array<std::size_t, 3> counts{};
    bool quoted = false;
    for (const char c : text) {
        if (c == '"') quoted = !quoted;
        if (quoted) continue;
        const auto* const which = std::ranges::find(separators, c);
        if (which != separators.end()) ++counts[static_cast<std::size_t>(which - separators.begin())];
        if (ends_line(c) && std::ranges::any_of(counts, [](std::size_t count) { return count > 0; })) break;
    }
    return separators[static_cast<std::size_t>(std::ranges::max_element(counts) - counts.begin())];
}

class table_reader {
  public:
    table_reader(std::string_view text, const std::string& name)
        : rest_(text), name_(name), separator_(separator_of(text)) {}

    std::vector<text_row> rows() {
        std::vector<text_row> all;
        while (!rest_.empty()) {
            text_row row = next_row();
            if (row.fields.size() == 1 && row.fields[0].empty()) continue; // a blank line
            if (!all.empty() && row.fields.size() != all[0].fields.size())
                fail(row.line, "has " + std::to_string(row.fields.size()) + " fields, the first row has " +
                                   std::to_string(all[0].fields.size()));
            all.push_back(std::move(row));
        }
        return all;
    }

  private:
    [[noreturn]] void fail(std::size_t line, const std::string& why) const {
        throw input_error(name_ + ", line " + std::to_string(line) + ' ' + why);
    }

    text_row next_row() {
        text_row row{.line = line_, .fields = {}};
        for (;;) {
            row.fields.push_back(next_field());
            if (rest_.empty()) return row;
            const char after = rest_.front();
            rest_.remove_prefix(1);
            if (after == separator_) continue;
            if (after == '\r' && rest_.starts_with('\n')) rest_.remove_prefix(1);
            ++line_;
            return row;
        }
    }

    // Up to what ends it, which stays.
    std::string next_field() {
        skip_blanks();
        if (rest_.starts_with('"')) return quoted_field();
        const auto end = std::ranges::find_if(rest_, [&](char c) { return c == separator_ || ends_line(c); });
        std::string_view field(rest_.begin(), end);
        rest_ = std::string_view(end, rest_.end());
        while (!field.empty() && (field.back() == ' ' || field.back() == '\t')) field.remove_suffix(1);
        return std::string(field);
    }

    std::string quoted_field() {
        const std::size_t began = line_;
        std::string field;
        for (std::size_t i = 1; i < rest_.size(); ++i) {
            if (rest_[i] == '\n') ++line_;
            if (rest_[i] != '"') {
                field += rest_[i];
            } else if (rest_.substr(i + 1).starts_with('"')) {
                field += rest_[++i];
            } else {
                rest_.remove_prefix(i + 1);
                skip_blanks();
                if (!rest_.empty() && rest_.front() != separator_ && !ends_line(rest_.front()))
                    fail(line_, "goes on after a field in quotation marks");
                return field;
            }
        }
        fail(began, "begins a field in quotation marks that does not end");
    }

    void skip_blanks() {
        while (!rest_.empty() && (rest_.front() == ' ' || rest_.front() == '\t') &&
               rest_.front() != separator_)
            rest_.remove_prefix(1);
    }

    std::string_view rest_;
    const std::string& name_;
    char separator_;
    std::size_t line_ = 1;
};

} // namespace

std::vector<text_row> read_delimited(std::string_view text, const std::string& name) {
    return table_reader(text, name).rows();
}

} // namespace petnet::data
