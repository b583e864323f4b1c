// SPDX-License-Identifier: Apache-2.0
#include "report/confusion_table.hpp"

namespace petnet::report {
namespace {

std::string field(const std::string& text) {
    if (text.find_first_of(",\"\r\n") == std::string::npos) return text;
    std::string quoted = "\"";
    for (const char c : text) quoted += c == '"' ? std::string("\"\"") : std::string(1, c);
    return quoted + '"';
}

} // namespace

std::string csv_of_confusion(const evaluation& e) {
    std::string csv = "is,was_taken_for,photographs\n";
    for (std::size_t truth = 0; truth < e.classes.size(); ++truth)
        for (std::size_t answer = 0; answer < e.classes.size(); ++answer)
            if (const std::int64_t photographs = e.confused(truth, answer); photographs > 0)
                csv += field(e.classes[truth]) + ',' + field(e.classes[answer]) + ',' +
                       std::to_string(photographs) + '\n';
    return csv;
}

} // namespace petnet::report
