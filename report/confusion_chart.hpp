// SPDX-License-Identifier: Apache-2.0
// A confusion matrix as SVG.
#pragma once

#include "report/evaluation.hpp"

#include <string>

namespace petnet::report {

// Rows are the true classes, columns the answers; a cell's strength is its share of its row. With up to 12
// classes the counts stand in the cells, with more only in their titles. Colours are those of the page
// (report_page.cpp): the element is a part of one.
[[nodiscard]] std::string svg_of_confusion(const evaluation& e);

} // namespace petnet::report
