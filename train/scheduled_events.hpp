// SPDX-License-Identifier: Apache-2.0
// Azure's notices that a machine is about to be taken away (Scheduled Events of the instance metadata
// service).
#pragma once

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <mutex>
#include <set>
#include <string>
#include <string_view>
#include <thread>

namespace petnet::train {

// Asks the service for notices again and again, on a thread of its own.
class scheduled_events {
  public:
    static constexpr const char* azure_address = "http://169.254.169.254";

    explicit scheduled_events(std::string address,
                              std::chrono::milliseconds interval = std::chrono::seconds(1));
    ~scheduled_events();
    scheduled_events(const scheduled_events&) = delete; // owns a thread
    scheduled_events& operator=(const scheduled_events&) = delete;

    // A notice has come that this machine will be taken (it may be withdrawn later).
    [[nodiscard]] bool announced() const noexcept { return announced_; }
    // The same, once for each notice.
    [[nodiscard]] bool take_announcement();
    // Why the service could not be asked, once; empty where it can.
    [[nodiscard]] std::string take_failure();

  private:
    void watch();

    std::string address_;
    std::chrono::milliseconds interval_;
    std::atomic<bool> announced_ = false, ending_ = false;
    std::mutex mutex_; // guards what follows
    std::condition_variable changed_;
    bool untold_ = false, failure_told_ = false;
    std::string failure_;
    std::thread thread_; // last: it uses all the others
};

// The ids of the events in the service's answer by which `machine` will be taken away: of the types Preempt
// and Terminate, for it or, where its name is not known (empty), for any. An answer of another form has none.
[[nodiscard]] std::set<std::string> removals_in(std::string_view answer, const std::string& machine);

} // namespace petnet::train
