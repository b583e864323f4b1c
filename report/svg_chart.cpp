// SPDX-License-Identifier: Apache-2.0
#include "report/svg_chart.hpp"

#include "report/markup.hpp"

#include <algorithm>
#include <cmath>
#include <fmt/format.h>
#include <limits>
#include <span>
#include <string>
#include <string_view>

namespace petnet::report {
namespace {

// In the chart's own units. So few that its texts can still be read where it is as wide as a phone; by itself
// it is shown half as large again.
constexpr double width = 500, height = 340, left = 74, right = 20, bottom = 52, natural_scale = 1.5;
constexpr std::ptrdiff_t styles = 4; // of lines; each has a colour and, for print, a pattern of its own

// Names within .petnet-chart: a page that holds the chart has names of its own.
constexpr std::string_view style = R"(<style>
.petnet-chart { font-family: system-ui, -apple-system, "Segoe UI", "DejaVu Sans", sans-serif; font-size: 14px; }
.petnet-chart .back { fill: #ffffff; }
.petnet-chart text { fill: #1f2328; }
.petnet-chart .title { font-size: 16px; font-weight: 600; }
.petnet-chart .tick { fill: #59636e; }
.petnet-chart .grid { stroke: #dde2e7; }
.petnet-chart .frame { stroke: #59636e; fill: none; }
.petnet-chart .line { fill: none; stroke-width: 2; stroke-linejoin: round; stroke-linecap: round; }
.petnet-chart .faint { stroke: #59636e; stroke-width: 1; stroke-opacity: .55; }
.petnet-chart .line0 { stroke: #0b62c4; }
.petnet-chart .line1 { stroke: #1a7f37; stroke-dasharray: 7 4; }
.petnet-chart .line2 { stroke: #8250df; stroke-dasharray: 2 4; }
.petnet-chart .line3 { stroke: #59636e; stroke-dasharray: 9 4 2 4; }
.petnet-chart .mark { stroke: #c2410c; stroke-width: 1.5; stroke-dasharray: 5 4; }
.petnet-chart .dot { fill: #c2410c; stroke: #ffffff; stroke-width: 2; }
.petnet-chart .label { fill: #c2410c; font-weight: 600; stroke: #ffffff; stroke-width: 4; paint-order: stroke; }
@media screen and (prefers-color-scheme: dark) {
.petnet-chart .back { fill: #0d1117; }
.petnet-chart text { fill: #e6edf3; }
.petnet-chart .tick { fill: #9198a1; }
.petnet-chart .grid { stroke: #272d35; }
.petnet-chart .frame { stroke: #9198a1; }
.petnet-chart .line0 { stroke: #58a6ff; }
.petnet-chart .line1 { stroke: #56d364; }
.petnet-chart .line2 { stroke: #bc8cff; }
.petnet-chart .line3, .petnet-chart .faint { stroke: #9198a1; }
.petnet-chart .mark { stroke: #ff9b50; }
.petnet-chart .dot { fill: #ff9b50; stroke: #0d1117; }
.petnet-chart .label { fill: #ff9b50; stroke: #0d1117; }
}
</style>
)";

// From values to places between 0 and 1.
class scale {
  public:
    explicit scale(const chart_axis& axis) : logarithmic_(axis.logarithmic), whole_(axis.whole) {}

    [[nodiscard]] bool has_place(double value) const {
        return std::isfinite(value) && (!logarithmic_ || value > 0);
    }
    void include(double value) {
        low_ = std::min(low_, on_scale(value));
        high_ = std::max(high_, on_scale(value));
    }
    // After the last include().
    void settle() {
        if (low_ > high_) low_ = 0, high_ = 1; // nothing was included
        if (logarithmic_) {
            low_ = std::floor(low_), high_ = std::ceil(high_);
            if (low_ == high_) high_ += 1;
            return;
        }
        // What differs by rounding alone is one value.
        const double size = std::max(std::abs(low_), std::abs(high_)), range = high_ - low_;
        const double margin = range > 1e-9 * size ? 0.05 * range : (size > 0 ? size / 2 : 0.5);
        low_ -= margin, high_ += margin;
    }
    [[nodiscard]] double place(double value) const { return (on_scale(value) - low_) / (high_ - low_); }

    // Some four to eight, at round values: as many as there is room for.
    [[nodiscard]] std::vector<double> ticks() const {
        const double least = whole_ ? std::max(1.0, (high_ - low_) / 7) : (high_ - low_) / 7;
        const double step = logarithmic_ ? std::ceil((high_ - low_) / 7) : round_step(least);
        const double first = std::ceil(low_ / step), last = std::floor(high_ / step);
        std::vector<double> values;
        for (int i = 0; first + i <= last; ++i) {
            const double multiple = (first + i) * step + 0.0; // no -0
            values.push_back(logarithmic_ ? std::pow(10, multiple) : multiple);
        }
        return values;
    }
    [[nodiscard]] std::string text(double tick) const {
        return logarithmic_ ? fmt::format("1e{:.0f}", std::log10(tick)) : fmt::format("{:.6g}", tick);
    }

  private:
    [[nodiscard]] double on_scale(double value) const { return logarithmic_ ? std::log10(value) : value; }
    static double round_step(double least) {
        const double power = std::pow(10, std::floor(std::log10(least)));
        for (const double factor : {1.0, 2.0, 5.0})
            if (factor * power >= least) return factor * power;
        return 10 * power;
    }

    bool logarithmic_, whole_;
    double low_ = std::numeric_limits<double>::infinity(), high_ = -low_;
};

class drawing {
  public:
    explicit drawing(const line_chart& chart)
        : chart_(chart),
          top_(chart.series.size() > 1 ? 64 : 44), // room for the legend
          x_(chart.x),
          y_(chart.y) {
        for (const chart_series& series : chart.series)
            for (const chart_point& point : series.points)
                if (has_place(point)) x_.include(point.x), y_.include(point.y);
        x_.settle();
        y_.settle();
    }

    std::string svg() {
        add(R"(<svg xmlns="http://www.w3.org/2000/svg" class="petnet-chart" role="img" viewBox="0 0 {} {}" )"
            R"(width="{}" height="{}">)"
            "\n<title>{}</title>\n{}",
            width, height, natural_scale * width, natural_scale * height, escaped(chart_.title), style);
        add(R"(<rect class="back" width="{}" height="{}"/>)", width, height);
        text("title", left, 26, "start", chart_.title);
        grid();
        for (std::size_t i = 0; i < chart_.series.size(); ++i) line(chart_.series[i], style_of(i));
        for (const chart_mark& each : chart_.marks) mark(each);
        if (chart_.series.size() > 1) legend();
        return svg_ + "</svg>\n";
    }

  private:
    template <typename... Values> void add(fmt::format_string<Values...> format, Values&&... values) {
        svg_ += fmt::format(format, std::forward<Values>(values)...);
        svg_ += '\n';
    }
    void text(std::string_view kind, double x, double y, std::string_view anchor, std::string_view content) {
        add(R"(<text class="{}" x="{:.1f}" y="{:.1f}" text-anchor="{}">{}</text>)", kind, x, y, anchor,
            escaped(content));
    }
    [[nodiscard]] bool has_place(const chart_point& p) const {
        return x_.has_place(p.x) && y_.has_place(p.y);
    }
    [[nodiscard]] double across(double x) const { return left + x_.place(x) * (width - left - right); }
    [[nodiscard]] double down(double y) const {
        return height - bottom - y_.place(y) * (height - top_ - bottom);
    }

    [[nodiscard]] std::string style_of(std::size_t series) const {
        if (chart_.series[series].faint) return "faint";
        const auto before = std::span(chart_.series).first(series);
        return fmt::format("line{}", std::ranges::count(before, false, &chart_series::faint) % styles);
    }

    void grid() {
        constexpr double floor = height - bottom, end = width - right;
        for (const double value : x_.ticks()) {
            add(R"(<path class="grid" d="M{0:.1f} {1}V{2}"/>)", across(value), top_, floor);
            text("tick", across(value), floor + 19, "middle", x_.text(value));
        }
        for (const double value : y_.ticks()) {
            add(R"(<path class="grid" d="M{} {:.1f}H{}"/>)", left, down(value), end);
            text("tick", left - 8, down(value) + 4.5, "end", y_.text(value));
        }
        add(R"(<path class="frame" d="M{} {}V{}H{}"/>)", left, top_, floor, end);
        text("axis", (left + end) / 2, height - 11, "middle", chart_.x.label);
        add(R"svg(<text class="axis" transform="translate(18 {:.1f}) rotate(-90)" text-anchor="middle">{}</text>)svg",
            (top_ + floor) / 2, escaped(chart_.y.label));
    }

    void line(const chart_series& series, const std::string& style_name) {
        std::string path;
        char command = 'M';
        for (const chart_point& point : series.points) {
            if (!has_place(point)) {
                command = 'M';
                continue;
            }
            path += fmt::format("{}{:.1f} {:.1f}", command, across(point.x), down(point.y));
            command = 'L';
        }
        add(R"(<path class="line {}" d="{}"/>)", style_name, path);
    }

    void mark(const chart_mark& mark) {
        if (!has_place(mark.at)) return;
        const double x = across(mark.at.x);
        const bool on_the_left = x < left + (width - left - right) * 0.6;
        add(R"(<path class="mark" d="M{:.1f} {}V{}"/>)", x, top_, height - bottom);
        add(R"(<circle class="dot" cx="{:.1f}" cy="{:.1f}" r="6"/>)", x, down(mark.at.y));
        text("label", on_the_left ? x + 8 : x - 8, top_ + 16, on_the_left ? "start" : "end", mark.label);
    }

    // One row above the plot. How wide a text becomes only the viewer knows: a letter counts as 8.
    void legend() {
        double x = left;
        for (std::size_t i = 0; i < chart_.series.size(); ++i) {
            const std::string& name = chart_.series[i].name;
            add(R"(<path class="line {}" d="M{:.1f} 45h24"/>)", style_of(i), x);
            text("name", x + 30, 49.5, "start", name);
            x += 30 + 8 * static_cast<double>(name.size()) + 14;
        }
    }

    const line_chart& chart_;
    double top_; // of the plot
    scale x_, y_;
    std::string svg_;
};

} // namespace

std::string svg_of(const line_chart& chart) { return drawing(chart).svg(); }

} // namespace petnet::report
