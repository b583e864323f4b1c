// SPDX-License-Identifier: Apache-2.0
#include "report/confusion_chart.hpp"

#include "report/markup.hpp"

#include <algorithm>
#include <fmt/format.h>

namespace petnet::report {
namespace {

constexpr std::size_t most_counted = 12; // classes, whose cells hold a number
constexpr std::size_t longest_name = 26; // letters; what is longer is cut

std::string short_name(const std::string& name) {
    if (name.size() <= longest_name) return name;
    std::size_t end = longest_name - 1;
    while (end > 0 && (static_cast<unsigned char>(name[end]) & 0xc0U) == 0x80U)
        --end; // whole letters of UTF-8
    return name.substr(0, end) + "…";
}

} // namespace

std::string svg_of_confusion(const evaluation& e) {
    const std::size_t count = e.classes.size();
    const bool counted = count <= most_counted;
    const double cell = counted ? 52 : 17;
    std::size_t longest = 4;
    for (const std::string& name : e.classes) longest = std::max(longest, short_name(name).size());
    const double margin = 34 + 7.2 * static_cast<double>(longest); // a letter counts as 7.2
    const double side = cell * static_cast<double>(count);
    std::string svg = fmt::format(
        R"(<svg xmlns="http://www.w3.org/2000/svg" class="confusion" role="img" viewBox="0 0 {0:.0f} {0:.0f}" )"
        R"(width="{0:.0f}" height="{0:.0f}"><title>Confusion matrix</title>)"
        "\n",
        margin + side + 8);
    svg += fmt::format(
        R"svg(<text class="axis" transform="translate(14 {:.1f}) rotate(-90)" text-anchor="middle">is</text>)svg"
        R"svg(<text class="axis" x="{:.1f}" y="16" text-anchor="middle">was taken for</text>)svg"
        "\n",
        margin + side / 2, margin + side / 2);
    for (std::size_t i = 0; i < count; ++i) {
        const double middle = margin + cell * (static_cast<double>(i) + 0.5);
        const std::string name = escaped(short_name(e.classes[i]));
        svg += fmt::format(R"svg(<text x="{:.1f}" y="{:.1f}" text-anchor="end">{}</text>)svg"
                           R"svg(<text transform="translate({:.1f} {:.1f}) rotate(-90)">{}</text>)svg"
                           "\n",
                           margin - 7, middle + 4.5, name, middle + 4.5, margin - 7, name);
        for (std::size_t k = 0; k < count; ++k) {
            const std::int64_t photographs = e.confused(i, k);
            const std::int64_t row = std::max<std::int64_t>(e.of_class[i].photographs, 1);
            const double share = static_cast<double>(photographs) / static_cast<double>(row);
            const double x = margin + cell * static_cast<double>(k), y = middle - cell / 2;
            svg += fmt::format(
                R"(<rect class="empty" x="{0:.1f}" y="{1:.1f}" width="{2:.1f}" height="{2:.1f}"/>)", x, y,
                cell - 1);
            if (photographs > 0)
                svg += fmt::format(R"(<rect class="{}" x="{:.1f}" y="{:.1f}" width="{:.1f}" height="{:.1f}" )"
                                   R"(fill-opacity="{:.2f}"><title>{} taken for {}: {} of {}</title></rect>)",
                                   i == k ? "right" : "wrong", x, y, cell - 1, cell - 1, 0.2 + 0.8 * share,
                                   escaped(e.classes[i]), escaped(e.classes[k]), photographs, row);
            if (counted)
                svg += fmt::format(R"(<text class="{}" x="{:.1f}" y="{:.1f}" text-anchor="middle">{}</text>)",
                                   share > 0.5 ? "count strong" : "count", x + cell / 2, middle + 4.5,
                                   photographs);
        }
        svg += '\n';
    }
    return svg + "</svg>\n";
}

} // namespace petnet::report
