// SPDX-License-Identifier: Apache-2.0
#include "app/progress_bar.hpp"

#include "app/console.hpp"

#include <algorithm>
#include <cmath>
#include <fmt/core.h>
#include <unistd.h>

namespace petnet::app {
namespace {

using namespace std::chrono_literals;

constexpr auto line_interval = 30s; // between signs of life where there is no bar

std::string amount_text(const data::work_progress& p) {
    const double unit = p.in_bytes ? 1e6 : 1;
    const std::string name = p.in_bytes ? " MB" : "";
    const double done = static_cast<double>(p.done) / unit, total = static_cast<double>(p.total) / unit;
    const int digits = p.in_bytes && std::max(done, total) < 10 ? 1 : 0;
    std::string text = p.total == 0
                           ? fmt::format("{:.{}f}{}", done, digits, name)
                           : fmt::format("{:.0f} %  {:.{}f}/{:.{}f}{}", std::floor(100 * done / total), done,
                                         digits, total, digits, name);
    if (p.per_second <= 0) return text;
    text += p.in_bytes ? fmt::format("  {:.1f} MB/s", p.per_second / unit)
                       : fmt::format("  {:.0f}/s", p.per_second);
    if (p.total >= p.done && p.total > 0)
        text += fmt::format("  {} left", clock_text(static_cast<double>(p.total - p.done) / p.per_second));
    return text;
}

} // namespace

std::string clock_text(double seconds) {
    const auto all = static_cast<long>(std::lround(std::max(0.0, seconds)));
    const long hours = all / 3600, minutes = all / 60 % 60;
    return hours > 0 ? fmt::format("{}:{:02}:{:02}", hours, minutes, all % 60)
                     : fmt::format("{:02}:{:02}", minutes, all % 60);
}

progress_bar::progress_bar(bool quiet) : quiet_(quiet), terminal_(!quiet && ::isatty(STDERR_FILENO) == 1) {}

progress_bar::~progress_bar() { erase(); }

void progress_bar::show(const std::string& what, double fraction, const std::string& rest) {
    if (quiet_) return;
    if (!terminal_) {
        const auto now = std::chrono::steady_clock::now();
        if (now - last_line_ < line_interval) return;
        last_line_ = now;
        tell("{}: {}\n", what, rest);
        return;
    }
    constexpr int width = 20;
    const int full = static_cast<int>(std::lround(std::clamp(fraction, 0.0, 1.0) * width));
    // Erase to the end of the line, so that a shorter line leaves nothing of a longer one.
    tell("\r{} [{:-<{}}{:<{}}] {}\033[K", what, std::string(static_cast<std::size_t>(full), '#'), full, "",
         width - full, rest);
    shown_ = true;
}

void progress_bar::show(const data::work_progress& progress) {
    const double fraction =
        progress.total == 0 ? 0 : static_cast<double>(progress.done) / static_cast<double>(progress.total);
    show(progress.what, fraction, amount_text(progress));
}

void progress_bar::erase() {
    if (!shown_) return;
    tell("\r\033[K");
    shown_ = false;
}

} // namespace petnet::app
