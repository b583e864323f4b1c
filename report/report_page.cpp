// SPDX-License-Identifier: Apache-2.0
#include "report/report_page.hpp"

#include "base/files.hpp"
#include "report/confusion_chart.hpp"
#include "report/confusion_table.hpp"
#include "report/markup.hpp"

#include <algorithm>
#include <cmath>
#include <fmt/format.h>
#include <numeric>
#include <span>
#include <string_view>

namespace petnet::report {
namespace {

constexpr std::string_view head = R"(<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'; img-src data:">
<style>
:root { --paper: #ffffff; --ink: #1f2328; --faint: #59636e; --line: #dde2e7; --right: #1a7f37; --wrong: #c2410c; --strong: #ffffff; }
@media screen and (prefers-color-scheme: dark) {
:root { --paper: #0d1117; --ink: #e6edf3; --faint: #9198a1; --line: #272d35; --right: #3fb950; --wrong: #ff9b50; --strong: #0d1117; }
}
body { margin: 0 auto; padding: 24px 20px 48px; max-width: 1080px; background: var(--paper); color: var(--ink);
  font: 15px/1.5 system-ui, -apple-system, "Segoe UI", "DejaVu Sans", sans-serif; }
h1 { font-size: 26px; margin: 0 0 4px; } h2 { font-size: 19px; margin: 36px 0 12px; }
.subtitle { color: var(--faint); margin: 0; overflow-wrap: anywhere; }
.numbers { display: flex; flex-wrap: wrap; gap: 12px; margin: 24px 0 0; padding: 0; list-style: none; }
.numbers li { border: 1px solid var(--line); border-radius: 8px; padding: 8px 16px; color: var(--faint); font-size: 13px; }
.numbers b { display: block; color: var(--ink); font-size: 21px; font-variant-numeric: tabular-nums; }
.charts { display: grid; grid-template-columns: repeat(auto-fill, minmax(min(480px, 100%), 1fr)); gap: 20px; }
.charts svg { display: block; width: 100%; height: auto; border: 1px solid var(--line); border-radius: 8px; box-sizing: border-box; }
.wide { overflow-x: auto; }
.confusion { font: 12px system-ui, -apple-system, "Segoe UI", "DejaVu Sans", sans-serif; max-width: none; }
.confusion text { fill: var(--ink); } .confusion .axis { fill: var(--faint); }
.confusion .empty { fill: var(--line); fill-opacity: .35; }
.confusion .right { fill: var(--right); } .confusion .wrong { fill: var(--wrong); }
.confusion .count { font-size: 15px; } .confusion .strong { fill: var(--strong); font-weight: 600; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; }
th, td { padding: 4px 16px 4px 0; text-align: right; border-bottom: 1px solid var(--line); white-space: nowrap; }
th { color: var(--faint); font-weight: 600; font-size: 13px; }
th:first-child, td:first-child, .pairs td, .pairs th { text-align: left; }
.photos { display: grid; grid-template-columns: repeat(auto-fill, minmax(150px, 1fr)); gap: 16px; }
.photos figure { margin: 0; break-inside: avoid; }
.photos img, .photos .missing { width: 100%; aspect-ratio: 1; display: block; border-radius: 6px; background: var(--line); }
.photos figcaption { font-size: 13px; line-height: 1.4; padding-top: 6px; overflow-wrap: anywhere; }
.photos .answer { color: var(--wrong); } .photos .sure { color: var(--right); } .photos .file { color: var(--faint); }
.facts { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(320px, 100%), 1fr)); gap: 0 32px; }
dl { display: grid; grid-template-columns: minmax(110px, auto) 1fr; gap: 2px 16px; margin: 0; font-size: 14px; }
dt { color: var(--faint); } dd { margin: 0; overflow-wrap: anywhere; }
@media (max-width: 480px) { body { padding: 16px 12px 32px; } }
@media print { body { padding: 0; max-width: none; font-size: 12px; } h2 { break-after: avoid; } .charts svg, table, .confusion { break-inside: avoid; }
  .charts { grid-template-columns: 1fr 1fr; gap: 12px; } .wide { overflow: visible; } .confusion { max-width: 100%; height: auto; }
  * { print-color-adjust: exact; -webkit-print-color-adjust: exact; } }
</style>
)";

std::string base64(std::span<const std::byte> bytes) {
    constexpr std::string_view letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    std::string text;
    for (std::size_t i = 0; i < bytes.size(); i += 3) {
        std::uint32_t three = 0;
        const std::size_t have = std::min<std::size_t>(3, bytes.size() - i);
        for (std::size_t k = 0; k < 3; ++k)
            three = three << 8U | (k < have ? std::to_integer<std::uint32_t>(bytes[i + k]) : 0);
        for (std::size_t k = 0; k < 4; ++k) text += k <= have ? letters[three >> (18 - 6 * k) & 63U] : '=';
    }
    return text;
}

std::string percent(double part) {
    return std::isnan(part) ? "–"
                            : fmt::format("{:.1f}\u00a0%", 100 * part); // en dash: there is no such number
}

std::string numbers(const evaluation& e) {
    const auto item = [](const std::string& value, const std::string& name) {
        return fmt::format("<li><b>{}</b>{}</li>\n", value, name);
    };
    std::string html = "<ul class=\"numbers\">\n" +
                       item(fmt::format("{:.4f}", e.error_rate),
                            fmt::format("error rate, {} of {}", e.wrong, e.photographs)) +
                       item(fmt::format("{:.4f}", e.loss), "validation loss");
    if (e.classes.size() > 5) html += item(fmt::format("{:.4f}", e.top5_error), "top-5 error");
    return html +
           item(fmt::format("{:.4f}", e.calibration_error),
                fmt::format("calibration error (ECE, {} bins)", calibration_bins)) +
           "</ul>\n";
}

line_chart calibration_chart(const evaluation& e) {
    chart_series found{"found", {}};
    for (const calibration_bin& bin : e.bins)
        if (bin.photographs > 0) found.points.push_back({bin.confidence, bin.accuracy});
    return {.title = "Calibration: how often it is right when so sure",
            .x = {.label = "probability of the answer"},
            .y = {.label = "share that is right"},
            .series = {std::move(found), {"perfect", {{0, 0}, {1, 1}}}},
            .marks = {}};
}

bool shows_all(const evaluation& e) { return e.classes.size() <= most_classes_shown; }

std::string confused(const evaluation& e) {
    const std::size_t most = shows_all(e) ? 10 : most_classes_shown;
    const std::vector<confused_pair> pairs = most_confused(e, most);
    if (pairs.empty()) return "";
    std::string html = "<h2>Confused most</h2>\n<div class=\"wide\"><table class=\"pairs\">\n"
                       "<tr><th>is</th><th>was taken for</th><th>photographs</th><th>of</th></tr>\n";
    for (const confused_pair& pair : pairs)
        html += fmt::format("<tr><td>{}</td><td>{}</td><td>{}</td><td>{}</td></tr>\n",
                            escaped(e.classes[pair.truth]), escaped(e.classes[pair.answer]), pair.photographs,
                            e.of_class[pair.truth].photographs);
    return html + "</table></div>\n";
}

// All of them, or those of the smallest recall. Classes without photographs have none, and come last.
std::vector<std::size_t> classes_shown(const evaluation& e) {
    std::vector<std::size_t> shown(e.classes.size());
    std::iota(shown.begin(), shown.end(), std::size_t{0});
    if (shows_all(e)) return shown;
    std::ranges::stable_sort(shown, {}, [&](std::size_t c) {
        const double recall = e.of_class[c].recall();
        return std::isnan(recall) ? 2 : recall;
    });
    shown.resize(most_classes_shown);
    return shown;
}

std::string classes(const evaluation& e) {
    std::string html =
        fmt::format("<h2>{}</h2>\n<div class=\"wide\"><table>\n"
                    "<tr><th>class</th><th>photographs</th><th>precision</th><th>recall</th></tr>\n",
                    shows_all(e) ? "Classes" : "Classes found least often");
    for (const std::size_t c : classes_shown(e))
        html += fmt::format("<tr><td>{}</td><td>{}</td><td>{}</td><td>{}</td></tr>\n", escaped(e.classes[c]),
                            e.of_class[c].photographs, percent(e.of_class[c].precision()),
                            percent(e.of_class[c].recall()));
    return html + "</table></div>\n";
}

// A caption is narrow: names of files and classes may be broken behind their underscores.
std::string breakable(const std::string& name) {
    std::string html;
    for (const char c : escaped(name)) html += c == '_' ? std::string("_<wbr>") : std::string(1, c);
    return html;
}

std::string pictures(const std::vector<pictured_photo>& photos, const evaluation& e) {
    std::string html = "<h2>Top losses</h2>\n<div class=\"photos\">\n";
    for (const pictured_photo& photo : photos) {
        html += "<figure>";
        html += photo.jpeg.empty()
                    ? std::string("<div class=\"missing\"></div>")
                    : fmt::format("<img alt=\"\" src=\"data:image/jpeg;base64,{}\">", base64(photo.jpeg));
        html += fmt::format(
            "<figcaption><b>{}</b>, <span class=\"{}\">answered {}</span> ({}), loss&nbsp;{:.2f}<br>"
            "<span class=\"file\">{}</span></figcaption></figure>\n",
            breakable(e.classes[photo.truth]), photo.answer == photo.truth ? "sure" : "answer",
            breakable(e.classes[photo.answer]), percent(photo.probability), photo.loss,
            breakable(photo.name));
    }
    return html + "</div>\n";
}

std::string facts(const std::vector<fact_list>& lists) {
    std::string html = "<div class=\"facts\">\n";
    for (const fact_list& list : lists) {
        html += fmt::format("<section><h2>{}</h2><dl>\n", escaped(list.title));
        for (const auto& [name, value] : list.facts)
            html += fmt::format("<dt>{}</dt><dd>{}</dd>\n", escaped(name), escaped(value));
        html += "</dl></section>\n";
    }
    return html + "</div>\n";
}

} // namespace

std::string html_of(const report_page& page, const std::string& table) {
    std::string html =
        fmt::format("<!doctype html>\n<html lang=\"en\">\n<head>\n<title>{0}</title>\n{1}</head>\n"
                    "<body>\n<h1>{0}</h1>\n<p class=\"subtitle\">{2}</p>\n",
                    escaped(page.title), head, escaped(page.subtitle));
    if (page.answers) html += numbers(*page.answers);
    std::vector<line_chart> charts = page.charts;
    if (page.answers) charts.push_back(calibration_chart(*page.answers));
    html += "<h2>Curves</h2>\n<div class=\"charts\">\n";
    for (const line_chart& chart : charts) html += svg_of(chart);
    html += "</div>\n";
    if (page.answers) {
        html += "<h2>Confusion matrix</h2>\n<div class=\"wide\">" +
                (shows_all(*page.answers) ? svg_of_confusion(*page.answers)
                                          : fmt::format("<p>The whole matrix of {} classes is in {}.</p>",
                                                        page.answers->classes.size(), escaped(table))) +
                "</div>\n" + confused(*page.answers);
        if (!page.top_losses.empty()) html += pictures(page.top_losses, *page.answers);
        html += classes(*page.answers);
    }
    return html + facts(page.facts) + "</body>\n</html>\n";
}

void write_report(const std::filesystem::path& file, const report_page& page) {
    const std::filesystem::path table = std::filesystem::path(file).replace_extension(".csv");
    if (page.answers && !shows_all(*page.answers))
        write_file_atomically(table, csv_of_confusion(*page.answers));
    write_file_atomically(file, html_of(page, table.filename().string()));
}

} // namespace petnet::report
