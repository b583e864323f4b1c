// SPDX-License-Identifier: Apache-2.0
// What long work (downloading, unpacking, checking) tells as it goes on, and how it is stopped.
#pragma once

#include <cstdint>
#include <functional>
#include <stdexcept>
#include <string>

namespace petnet::data {

struct work_progress {
    std::string what;                  // "downloading images.tar.gz"
    std::uint64_t done = 0, total = 0; // bytes, or photographs; total 0: not known
    double per_second = 0;             // of what `done` counts; 0: not known
    bool in_bytes = true;
};

// Somebody asked to stop (Ctrl-C); what another call can continue is kept.
class work_stopped : public std::runtime_error {
  public:
    work_stopped() : std::runtime_error("stopped as requested") {}
};

// Each may be empty. They are called on the thread that does the work.
struct work_listener {
    std::function<void(const work_progress&)> on_progress; // some times a second
    std::function<void(const std::string& line)> on_note;  // what a user should know
    std::function<bool()> stop_requested;                  // at least once a second

    void progress(const work_progress& now) const {
        if (on_progress) on_progress(now);
    }
    void note(const std::string& line) const {
        if (on_note) on_note(line);
    }
    [[nodiscard]] bool stopping() const { return stop_requested && stop_requested(); }
    void throw_if_stopping() const {
        if (stopping()) throw work_stopped();
    }
};

} // namespace petnet::data
