// SPDX-License-Identifier: Apache-2.0
#include "app/progress_bar.hpp"

#include "app/console.hpp"

#include <cmath>
#include <unistd.h>

namespace petnet::app {
namespace {

using namespace std::chrono_literals;

constexpr auto quiet_interval = 30s; // between signs of life where there is no bar

} // namespace

progress_bar::progress_bar(bool quiet) : quiet_(quiet), terminal_(!quiet && ::isatty(STDERR_FILENO) == 1) {}

progress_bar::~progress_bar() { erase(); }

void progress_bar::show(const std::string& what, double fraction, const std::string& rest) {
    if (quiet_) return;
    if (!terminal_) {
        const auto now = std::chrono::steady_clock::now();
        if (now - last_line_ < quiet_interval) return;
        last_line_ = now;
        tell("{}: {}\n", what, rest);
        return;
    }
    constexpr int width = 20;
    const int full = static_cast<int>(std::lround(fraction * width));
    // Erase to the end of the line, so that a shorter line leaves nothing of a longer one.
    tell("\r{} [{:-<{}}{:<{}}] {}\033[K", what, std::string(static_cast<std::size_t>(full), '#'), full, "",
         width - full, rest);
    shown_ = true;
}

void progress_bar::erase() {
    if (!shown_) return;
    tell("\r\033[K");
    shown_ = false;
}

} // namespace petnet::app
