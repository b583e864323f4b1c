// SPDX-License-Identifier: Apache-2.0
// One line on standard error that shows how far something is: a bar on a terminal, elsewhere a plain line now
// and then.
#pragma once

#include "data/work_listener.hpp"

#include <chrono>
#include <string>

namespace petnet::app {

class progress_bar {
  public:
    // quiet: nothing is shown.
    explicit progress_bar(bool quiet);
    ~progress_bar();
    progress_bar(const progress_bar&) = delete; // it stands on the terminal
    progress_bar& operator=(const progress_bar&) = delete;

    // "WHAT [###-----] REST"; fraction in [0, 1].
    void show(const std::string& what, double fraction, const std::string& rest);
    // The same with percent, amount, speed and time left, as far as they are known.
    void show(const data::work_progress& progress);
    void erase();

  private:
    bool quiet_, terminal_, shown_ = false;
    std::chrono::steady_clock::time_point last_line_ = std::chrono::steady_clock::now();
};

// "01:05", "1:02:03"
[[nodiscard]] std::string clock_text(double seconds);

} // namespace petnet::app
