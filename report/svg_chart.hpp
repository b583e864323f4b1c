// SPDX-License-Identifier: Apache-2.0
// Line charts as SVG: by themselves or inside an HTML page, on a light or dark screen or printed.
#pragma once

#include <string>
#include <vector>

namespace petnet::report {

struct chart_axis {
    std::string label;
    bool logarithmic = false; // base 10, from a whole power to a whole power
    bool whole = false;       // only whole numbers are marked
};

struct chart_point {
    double x = 0, y = 0;
};

// A line through its points, in their order. It is interrupted at points that have no place in the chart:
// those that are not finite, or not positive on a logarithmic axis.
struct chart_series {
    std::string name; // for the legend, which a chart of several series has
    std::vector<chart_point> points;
    bool faint = false; // thin: many points, whose course another line shows
};

// A point to look at: a dot, a vertical line through it, and its label.
struct chart_mark {
    chart_point at;
    std::string label;
};

struct line_chart {
    std::string title;
    chart_axis x, y;
    std::vector<chart_series> series;
    std::vector<chart_mark> marks;
};

// A whole <svg> element; the axes reach as far as the points of the series. Texts are UTF-8 and may hold
// anything: they are escaped.
[[nodiscard]] std::string svg_of(const line_chart& chart);

} // namespace petnet::report
