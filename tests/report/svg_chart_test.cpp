// SPDX-License-Identifier: Apache-2.0
#include "report/svg_chart.hpp"

#include <algorithm>
#include <cmath>
#include <gmock/gmock.h>
#include <limits>
#include <regex>
#include <string>
#include <vector>

using namespace petnet::report;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Not;

namespace {

constexpr double inf = std::numeric_limits<double>::infinity();

// The first group of every match.
std::vector<std::string> all(const std::string& svg, const std::string& pattern) {
    const std::regex expression(pattern);
    std::vector<std::string> found;
    for (std::sregex_iterator i(svg.begin(), svg.end(), expression), end; i != end; ++i)
        found.push_back((*i)[1].str());
    return found;
}

std::vector<std::string> ticks(const std::string& svg, const std::string& anchor) {
    return all(svg, "class=\"tick\"[^>]*\"" + anchor + "\">([^<]*)<");
}

line_chart chart_of(std::vector<chart_point> points) {
    return {.title = "t",
            .x = {"x", false},
            .y = {"y", false},
            .series = {{"s", std::move(points)}},
            .marks = {}};
}

} // namespace

TEST(svg_chart, round_ticks) {
    const std::string svg = svg_of(chart_of({{0, -1}, {10, 1}}));
    EXPECT_THAT(ticks(svg, "middle"), ElementsAre("0", "2", "4", "6", "8", "10"));
    EXPECT_THAT(ticks(svg, "end"), ElementsAre("-1", "-0.5", "0", "0.5", "1"));
}

TEST(svg_chart, powers_of_ten_on_a_logarithmic_axis) {
    line_chart chart = chart_of({{2e-3, 1}, {5, 2}});
    chart.x.logarithmic = true;
    EXPECT_THAT(ticks(svg_of(chart), "middle"), ElementsAre("1e-3", "1e-2", "1e-1", "1e0", "1e1"));
    chart.series[0].points = {{1e-30, 1}, {1, 2}};
    EXPECT_LE(ticks(svg_of(chart), "middle").size(), 8U);
}

// Places: the plot of one line reaches from 74 to 480 and from 44 (above) to 288.
TEST(svg_chart, a_point_is_where_its_axes_say) {
    line_chart chart = chart_of({{1e-2, 0}, {1, 1}, {100, 0.5}});
    chart.x.logarithmic = true;
    chart.marks = {{{1, 1}, "here"}};
    const std::string svg = svg_of(chart);
    // A margin of a twentieth of the range above and below: 244 / 1.1 * .05 = 11.1.
    EXPECT_THAT(all(svg, "class=\"line line0\" d=\"([^\"]*)\""),
                ElementsAre("M74.0 276.9L277.0 55.1L480.0 166.0"));
    EXPECT_THAT(all(svg, "<circle [^>]*cx=\"([^\"]*)\" cy"), ElementsAre("277.0"));
    EXPECT_THAT(all(svg, "<circle [^>]*cy=\"([^\"]*)\" r"), ElementsAre("55.1"));
}

TEST(svg_chart, a_line_is_interrupted_where_there_is_nothing_to_draw) {
    const std::string svg = svg_of(chart_of({{0, 1}, {1, 1}, {2, std::nan("")}, {3, 2}, {4, inf}, {5, 3}}));
    const auto path = all(svg, "class=\"line line0\" d=\"([^\"]*)\"");
    ASSERT_EQ(path.size(), 1U);
    EXPECT_EQ(std::ranges::count(path[0], 'M'), 3) << path[0];
    EXPECT_EQ(std::ranges::count(path[0], 'L'), 1) << path[0];
    EXPECT_THAT(svg, Not(HasSubstr("inf")));
    EXPECT_THAT(svg, Not(HasSubstr("nan")));
}

TEST(svg_chart, one_value_or_none_still_gives_a_chart) {
    for (const std::vector<chart_point>& points : std::vector<std::vector<chart_point>>{
             {}, {{0, 0}}, {{3, 7}}, {{1e300, -1e300}}, {{1, 1}, {std::nextafter(1, 2), 1}}, {{inf, 1}}}) {
        for (const bool logarithmic : {false, true}) {
            line_chart chart = chart_of(points);
            chart.x.logarithmic = logarithmic;
            const std::string svg = svg_of(chart);
            EXPECT_THAT(svg, HasSubstr("</svg>"));
            EXPECT_GE(ticks(svg, "middle").size(), 2U) << svg;
            EXPECT_LE(ticks(svg, "middle").size(), 12U) << svg;
            EXPECT_THAT(svg, Not(HasSubstr("nan")));
        }
    }
}

TEST(svg_chart, several_lines_have_a_legend) {
    line_chart chart = chart_of({{0, 0}, {1, 1}});
    EXPECT_THAT(all(svg_of(chart), "class=\"name\"[^>]*>([^<]*)<"), ElementsAre());
    chart.series.push_back({"valid_loss", {{0, 1}, {1, 0}}});
    EXPECT_THAT(all(svg_of(chart), "class=\"name\"[^>]*>([^<]*)<"), ElementsAre("s", "valid_loss"));
    EXPECT_THAT(all(svg_of(chart), "class=\"line ([^\"]*)\" d=\"M[^\"]*L"), ElementsAre("line0", "line1"));
    chart.series[0].faint = true;
    EXPECT_THAT(all(svg_of(chart), "class=\"line ([^\"]*)\" d=\"M[^\"]*L"), ElementsAre("faint", "line0"));
}

TEST(svg_chart, texts_are_escaped) {
    line_chart chart = chart_of({{0, 0}, {1, 1}});
    chart.title = "<script>&\"\x01";
    chart.marks = {{{0, 0}, "</text>"}};
    const std::string svg = svg_of(chart);
    EXPECT_THAT(svg, HasSubstr("&lt;script&gt;&amp;&quot; </title>"));
    EXPECT_THAT(svg, HasSubstr("&lt;/text&gt;"));
}
