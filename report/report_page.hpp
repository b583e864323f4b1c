// SPDX-License-Identifier: Apache-2.0
// A report as one HTML file that asks no other host for anything: charts as SVG, photographs as data URIs;
// readable on a light or dark screen, on a telephone, and printed.
#pragma once

#include "report/evaluation.hpp"
#include "report/svg_chart.hpp"
#include "report/top_losses.hpp"

#include <cstddef>
#include <filesystem>
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

// The most classes that a page shows one by one. Of more it shows the pairs confused most and the classes
// answered worst, so that its size does not grow with the square of the classes.
inline constexpr std::size_t most_classes_shown = 50;

// Texts are UTF-8 and may hold anything: they are escaped. `table`: the file that has what is not shown,
// beside the page.
[[nodiscard]] std::string html_of(const report_page& page, const std::string& table = "report.csv");

// The page as `file`; where it does not show all classes, the whole confusion matrix beside it, as `file`
// with the extension .csv. environment_error.
void write_report(const std::filesystem::path& file, const report_page& page);

} // namespace petnet::report
