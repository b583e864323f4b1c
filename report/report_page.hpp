// SPDX-License-Identifier: Apache-2.0
// A report as one HTML file that asks no other host for anything: charts as SVG, photographs as data URIs;
// readable on a light or dark screen, on a telephone, and printed.
#pragma once

#include "report/evaluation.hpp"
#include "report/svg_chart.hpp"
#include "report/top_losses.hpp"

#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace petnet::report {

struct fact_list {
    std::string title;
    std::vector<std::pair<std::string, std::string>> facts; // name and value
};

struct report_page {
    std::string title;
    std::string subtitle;
    std::vector<line_chart> charts;
    std::optional<evaluation> answers; // of the photographs to validate on; nothing: no such part
    std::vector<pictured_photo> top_losses;
    std::vector<fact_list> facts;
};

// Texts are UTF-8 and may hold anything: they are escaped.
[[nodiscard]] std::string html_of(const report_page& page);

} // namespace petnet::report
