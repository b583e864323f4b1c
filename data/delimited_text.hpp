// SPDX-License-Identifier: Apache-2.0
// Tables as text: comma-, tab- or semicolon-separated values (RFC 4180).
#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

namespace petnet::data {

struct text_row {
    std::size_t line = 0; // where it begins, counted from 1
    std::vector<std::string> fields;
};

// The rows of `text`. What separates its fields is the comma, tab or semicolon that the first line outside of
// quotation marks has most of. A field in quotation marks may hold separators and line feeds, and "" for a
// mark; blanks around others do not count. Lines end in LF, CR LF or CR; blank ones are no rows. input_error,
// naming the table `name` and the line: a quoted field that does not end, or goes on after its mark; a row of
// another number of fields than the first one.
[[nodiscard]] std::vector<text_row> read_delimited(std::string_view text, const std::string& name);

} // namespace petnet::data
