// SPDX-License-Identifier: Apache-2.0
// How far something is: a bar on a terminal (standard error), elsewhere a line now and then.
#pragma once

#include <chrono>
#include <string>

namespace petnet::app {

class progress_bar {
  public:
    // quiet: shows nothing.
    explicit progress_bar(bool quiet);
    ~progress_bar();
    progress_bar(const progress_bar&) = delete; // what it drew, it erases
    progress_bar& operator=(const progress_bar&) = delete;

    // `fraction` from 0 to 1; `rest` stands after the bar.
    void show(const std::string& what, double fraction, const std::string& rest);
    void erase(); // before anything else is written

  private:
    bool quiet_, terminal_, shown_ = false;
    std::chrono::steady_clock::time_point last_line_ = std::chrono::steady_clock::now();
};

} // namespace petnet::app
