// SPDX-License-Identifier: Apache-2.0
// Messages between rank 0 and each of the others, and the watch over who is still there.
#pragma once

#include "base/descriptor.hpp"

#include <chrono>
#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

namespace petnet::ranks {

struct watch_settings {
    std::chrono::milliseconds heartbeat{5'000};
    // A rank that is not heard of for so long is gone: its machine is, or it is stopped. Longer than the half
    // minute for which Azure may freeze a machine while it moves it.
    std::chrono::milliseconds silence{35'000};
    // After a rank is gone, this process has so long to end by itself; then `on_stuck` is called with the
    // reason. (It may wait for a device that waits for the rank.) Absent: never.
    std::chrono::milliseconds patience{15'000};
    std::function<void(const std::string& why)> on_stuck{};
};

class control_channel {
  public:
    // `connections`: by rank, closed where there is none: rank 0 has one to each other rank, the others one
    // to rank 0.
    control_channel(int rank, std::vector<descriptor> connections, watch_settings settings);
    ~control_channel();
    control_channel(const control_channel&) = delete; // its thread holds its address
    control_channel& operator=(const control_channel&) = delete;

    // A message of any length; receive() gives those of a rank in the order in which it sent them.
    // environment_error, saying why, once a rank is gone or has failed.
    void send(int to, std::span<const std::byte> message);
    [[nodiscard]] std::vector<std::byte> receive(int from);

    // Why the ranks cannot go on, if that is so, or becomes so within the time. Any thread.
    [[nodiscard]] std::optional<std::string> why_lost(std::chrono::milliseconds within = {}) const;
    // Called once when that happens, on the watching thread or that of fail(); at once where it has happened.
    void on_loss(std::function<void()> call);

    // Tells the others that this rank ends well, and waits (not for long) until they have said so too.
    void farewell() noexcept;
    // Tells the others that this rank ends and why, unless one has ended before, and waits (not for long)
    // until they have heard it.
    void fail(std::string_view why) noexcept;

  private:
    enum class kind : std::uint32_t { message, heartbeat, farewell, failure };
    struct frame_head {
        kind what;
        std::uint32_t bytes;
    };
    struct peer {
        int rank;
        descriptor connection;
        std::timed_mutex sending;
        // Of the watching thread:
        std::vector<std::byte> arrived; // of a frame that is not complete
        std::chrono::steady_clock::time_point heard = std::chrono::steady_clock::now();
        // Guarded by mutex_:
        std::deque<std::vector<std::byte>> inbox;
        bool has_left = false; // well, or while this rank failed: nothing comes any more
    };

    [[nodiscard]] peer& peer_of(int rank);
    bool send_frame(peer& to, kind what, std::span<const std::byte> bytes, std::chrono::milliseconds within);
    void watch();
    void read_from(peer& from);
    void take_frames(peer& from);
    void beat();
    void lose(const std::string& why, peer& whose_fault);
    void mark_lost(const std::string& why); // mutex_ is held
    void call_those_who_asked();
    void wait_until_all_left();
    [[nodiscard]] std::string name_of(const peer& who) const;

    int rank_;
    std::size_t ranks_;
    watch_settings settings_;
    std::vector<std::unique_ptr<peer>> peers_;
    descriptor wake_; // the watching thread
    mutable std::mutex mutex_;
    mutable std::condition_variable changed_;
    std::string lost_; // why; empty: nobody is
    std::chrono::steady_clock::time_point lost_at_;
    bool failing_ = false; // this rank, which tells the others
    std::vector<std::function<void()>> on_loss_;
    bool stopping_ = false;
    std::thread watcher_;
};

} // namespace petnet::ranks
