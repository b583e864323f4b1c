// SPDX-License-Identifier: Apache-2.0
#include "bench/record.hpp"
#include "bench/statistics.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>

namespace petnet::bench {
namespace {

constexpr std::size_t label_width = 26;

// "1.234 ms": four digits.
std::string time_text(double seconds) {
    struct unit {
        double seconds;
        const char* name;
    };
    constexpr std::array units{unit{1, "s"}, unit{1e-3, "ms"}, unit{1e-6, "us"}, unit{1e-9, "ns"}};
    const auto* found =
        std::ranges::find_if(units, [&](const unit& each) { return seconds >= each.seconds; });
    const unit& in = found == units.end() ? units.back() : *found;
    const double value = seconds / in.seconds;
    const int digits = value >= 999.95 ? 0 : value >= 99.995 ? 1 : value >= 9.9995 ? 2 : 3;
    return fmt::format("{:.{}f} {}", value, digits, in.name);
}

std::string percent_text(double part, double whole) {
    if (!(whole > 0) || !(part > 0)) return "-";
    return fmt::format("{:.0f}%", std::min(100 * part / whole, 999.0));
}

std::string rate_text(double value) {
    return value <= 0 ? "-" : fmt::format("{:.{}f}", value, value < 10 ? 2 : value < 100 ? 1 : 0);
}

std::string label_of(const case_description& about) {
    int count = 0;
    for (const auto& [phase, of_phase] : about.counts) count = std::max(count, of_phase);
    const std::string times = count > 1 ? fmt::format(" x{}", count) : "";
    const std::size_t room = label_width - times.size();
    std::string label = about.label;
    if (label.size() > room) label = label.substr(0, room - 1) + "~";
    return label + times;
}

// Lines of at most 80 columns, broken at commas.
std::string wrapped(const std::string& text) {
    constexpr std::size_t columns = 80;
    std::string out;
    for (std::size_t at = 0; at < text.size();) {
        std::size_t end = text.size();
        if (end - at > columns) {
            const std::size_t comma = text.rfind(", ", at + columns - 2);
            end = comma == std::string::npos || comma <= at ? at + columns : comma + 2;
        }
        out += text.substr(at, end - at) + '\n';
        at = end;
    }
    return out;
}

constexpr const char* row_format = "  {:<26} {:>8} {:>5} {:>8} {:>5} {:>4} {:>7} {:>4}\n";

std::string row(const record& found, const measured_case& each) {
    const case_description& about = each.about;
    if (!each.result.failure.empty())
        return fmt::format("  {:<26} WRONG, not timed:\n    {}\n", label_of(about), each.result.failure);
    const summary hot = summarise(each.result.hot);
    const bool has_cold = !each.result.cold.empty();
    const double cold = has_cold ? median_of(each.result.cold) : hot.median;
    const device_peaks none, *peaks = found.peaks_of(about);
    if (peaks == nullptr) peaks = &none;
    const std::string spread =
        fmt::format("{:.{}f}%", std::min(100 * hot.spread(), 999.0), hot.spread() < 0.9995 ? 1 : 0);
    if (about.items > 0 && about.bytes == 0 && about.flops == 0)
        return fmt::format("  {:<26} {:>8} {:>5} {:>24} images/s\n", label_of(about), time_text(hot.median),
                           spread, rate_text(about.items / hot.median));
    // What comes from memory is measured cold, what is computed hot. (A clock too coarse shows 0.)
    const double gb = cold > 0 ? 1e-9 * about.bytes / cold : 0;
    const double gflop = hot.median > 0 ? 1e-9 * about.flops / hot.median : 0;
    return fmt::format(row_format, label_of(about), time_text(hot.median), spread,
                       has_cold ? time_text(cold) : "-", rate_text(gb),
                       percent_text(gb, peaks->copy_gb_per_s), rate_text(gflop),
                       percent_text(gflop, peaks->gflop_per_s(about.precision)));
}

// Cases that share what the heading says.
std::string heading(const case_description& about) {
    std::string text = about.group;
    if (!about.precision.empty()) text += fmt::format(", {}, batch {}", about.precision, about.batch);
    if (about.threads > 0) text += fmt::format(", {} thread{}", about.threads, about.threads == 1 ? "" : "s");
    return text;
}

// What the operations of a step sum up to, against the step, and what they would take at the peaks.
std::string step_line(const record& found, const measured_case& step) {
    double sum = 0, floor = 0;
    int counted = 0;
    const device_peaks* peaks = found.peaks_of(step.about);
    for (const measured_case& each : found.cases) {
        const case_description& about = each.about;
        const auto count = about.counts.find(step.about.phase);
        if (about.precision != step.about.precision || about.batch != step.about.batch ||
            about.threads != step.about.threads || count == about.counts.end() || each.result.hot.empty())
            continue;
        counted += count->second;
        sum += count->second * median_of(each.result.hot);
        if (peaks == nullptr || !(peaks->copy_gb_per_s > 0)) continue;
        const double moving = 1e-9 * about.bytes / peaks->copy_gb_per_s;
        const double computing = 1e-9 * about.flops / peaks->gflop_per_s(about.precision);
        floor += count->second * std::max(moving, computing);
    }
    if (counted == 0) return "";
    const double seconds = median_of(step.result.hot);
    std::string text = fmt::format("  {} {} b{}: {:.1f} images/s; its {} operations alone {} ({:.0f}%)",
                                   step.about.label, step.about.precision, step.about.batch,
                                   step.about.items / seconds, counted, time_text(sum), 100 * sum / seconds);
    if (floor > 0)
        text += fmt::format(",\n    at the peaks {} ({:.0f}%)", time_text(floor), 100 * floor / seconds);
    return text + '\n';
}

} // namespace

std::string to_table(const record& found) {
    std::string text = wrapped(found.device);
    for (const auto& [key, peaks] : found.peaks) {
        text += fmt::format("Peaks, {}", key.first);
        if (key.second > 0) text += fmt::format(", {} thread{}", key.second, key.second == 1 ? "" : "s");
        text += fmt::format(": copy {} GB/s", rate_text(peaks.copy_gb_per_s));
        if (peaks.fma_gflop_per_s > 0)
            text += fmt::format(", FMA {} GFLOP/s (fp32)", rate_text(peaks.fma_gflop_per_s));
        text += fmt::format(", GEMM {}\n", rate_text(peaks.gemm_gflop_per_s));
    }
    text += fmt::format("The clock takes {}, which is taken off, and errs by {}.\n"
                        "hot: median, distance between the quartiles. cold: caches emptied. GB/s of\n"
                        "cold, GFLOP/s of hot, each with its part of the peak. xN: N times in a step\n\n",
                        time_text(found.clock_seconds()), time_text(found.timer_error()));
    text += fmt::format(row_format, "", "hot", "+-", "cold", "GB/s", "", "GFLOP/s", "");

    std::vector<std::string> headings;
    for (const measured_case& each : found.cases)
        if (const std::string of = heading(each.about); std::ranges::find(headings, of) == headings.end())
            headings.push_back(of);
    for (const std::string& of : headings) {
        text += of + '\n';
        for (const measured_case& each : found.cases)
            if (heading(each.about) == of) text += row(found, each);
    }
    std::string steps;
    for (const measured_case& each : found.cases)
        if (each.about.group == "step" && !each.result.hot.empty()) steps += step_line(found, each);
    if (!steps.empty()) text += "\nSteps\n" + steps;
    return text;
}

} // namespace petnet::bench
