// SPDX-License-Identifier: Apache-2.0
#include "train/ranks/control_channel.hpp"

#include "base/errors.hpp"
#include "train/ranks/connection.hpp"

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <utility>

namespace petnet::ranks {
namespace {

using namespace std::chrono_literals;
using std::chrono::milliseconds;
using std::chrono::steady_clock;

constexpr std::size_t most_frame_bytes = std::size_t{1} << 28; // more than any message has
constexpr auto briefly = 1s;                                   // for a few bytes to a peer that may be gone

constexpr const char* what_to_do = "; started again, all ranks continue from the last checkpoint";

std::span<const std::byte> as_bytes(std::string_view text) { return std::as_bytes(std::span(text)); }

} // namespace

control_channel::control_channel(int rank, std::vector<descriptor> connections, watch_settings settings)
    : rank_(rank),
      ranks_(connections.size()),
      settings_(std::move(settings)),
      wake_(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)) {
    for (std::size_t i = 0; i < connections.size(); ++i) {
        if (!connections[i].is_open()) continue;
        auto& made = *peers_.emplace_back(std::make_unique<peer>());
        made.rank = static_cast<int>(i);
        made.connection = std::move(connections[i]);
    }
    watcher_ = std::thread([this] { watch(); });
}

control_channel::~control_channel() {
    {
        const std::lock_guard lock(mutex_);
        stopping_ = true;
    }
    static_cast<void>(::eventfd_write(wake_.get(), 1));
    watcher_.join();
}

control_channel::peer& control_channel::peer_of(int rank) {
    const auto found = std::ranges::find(peers_, rank, [](const auto& each) { return each->rank; });
    if (found == peers_.end()) throw std::logic_error("control_channel: no connection to that rank");
    return **found;
}

std::string control_channel::name_of(const peer& who) const {
    return "rank " + std::to_string(who.rank) + " of " + std::to_string(ranks_);
}

bool control_channel::send_frame(peer& to, kind what, std::span<const std::byte> bytes, milliseconds within) {
    const deadline until = steady_clock::now() + within;
    const std::unique_lock lock(to.sending, until);
    if (!lock) return false;
    const frame_head head{what, static_cast<std::uint32_t>(bytes.size())};
    return send_all(to.connection.get(), std::as_bytes(std::span(&head, 1)), until) &&
           send_all(to.connection.get(), bytes, until);
}

void control_channel::send(int to, std::span<const std::byte> message) {
    if (message.size() > most_frame_bytes) throw std::logic_error("control_channel: the message is too long");
    if (const auto why = why_lost()) throw environment_error(*why);
    constexpr auto forever = 1h; // the watch ends it where the peer is gone
    peer& receiver = peer_of(to);
    if (send_frame(receiver, kind::message, message, forever)) return;
    throw environment_error(
        why_lost(settings_.silence).value_or("the connection to " + name_of(receiver) + " was lost"));
}

std::vector<std::byte> control_channel::receive(int from) {
    peer& sender = peer_of(from);
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [&] { return !sender.inbox.empty() || !lost_.empty(); });
    if (!lost_.empty()) throw environment_error(lost_);
    std::vector<std::byte> message = std::move(sender.inbox.front());
    sender.inbox.pop_front();
    return message;
}

std::optional<std::string> control_channel::why_lost(milliseconds within) const {
    std::unique_lock lock(mutex_);
    if (!changed_.wait_for(lock, within, [&] { return !lost_.empty(); })) return {};
    return lost_;
}

void control_channel::on_loss(std::function<void()> call) {
    {
        const std::lock_guard lock(mutex_);
        if (lost_.empty()) {
            on_loss_.push_back(std::move(call));
            return;
        }
    }
    call();
}

// One who closes a connection with bytes in it that it has not read takes those from the peer too that this
// one has not read: so it is read until the peer is done.
void control_channel::wait_until_all_left() {
    std::unique_lock lock(mutex_);
    changed_.wait_for(lock, 5s, [&] {
        return !lost_.empty() || std::ranges::all_of(peers_, [](const auto& each) { return each->has_left; });
    });
}

void control_channel::farewell() noexcept {
    try {
        for (const auto& each : peers_) send_frame(*each, kind::farewell, {}, briefly);
        wait_until_all_left();
    } catch (...) { // the training is done; the others will see this process end
    }
}

void control_channel::fail(std::string_view why) noexcept {
    try {
        {
            const std::lock_guard lock(mutex_);
            if (!lost_.empty()) return;
            failing_ = true;
        }
        const std::string text = "rank " + std::to_string(rank_) + " of " + std::to_string(ranks_) +
                                 " failed: " + std::string(why);
        for (const auto& each : peers_) send_frame(*each, kind::failure, as_bytes(text), briefly);
        wait_until_all_left();
        {
            const std::lock_guard lock(mutex_);
            mark_lost(text);
        }
        changed_.notify_all();
        for (const auto& each : peers_) ::shutdown(each->connection.get(), SHUT_RDWR);
        call_those_who_asked();
    } catch (...) { // they will see this process end
    }
}

void control_channel::watch() {
    auto next_beat = steady_clock::now() + settings_.heartbeat;
    std::vector<pollfd> waiting;
    for (;;) {
        waiting.assign(1, {.fd = wake_.get(), .events = POLLIN, .revents = 0});
        bool lost = false;
        {
            const std::lock_guard lock(mutex_);
            if (stopping_) return;
            lost = !lost_.empty();
            for (const auto& each : peers_)
                waiting.push_back({.fd = lost || each->has_left ? -1 : each->connection.get(),
                                   .events = POLLIN,
                                   .revents = 0});
        }
        const auto wake_at = !lost                ? next_beat
                             : settings_.on_stuck ? lost_at_ + settings_.patience
                                                  : steady_clock::time_point::max();
        const auto pause = std::chrono::ceil<milliseconds>(wake_at - steady_clock::now()).count();
        const int ready = ::poll(waiting.data(), waiting.size(),
                                 static_cast<int>(std::clamp<std::int64_t>(pause, 0, 60'000)));
        if (lost) {
            if (steady_clock::now() < wake_at) continue;
            const auto on_stuck = std::exchange(settings_.on_stuck, nullptr);
            on_stuck(*why_lost());
            continue;
        }
        for (std::size_t i = 0; ready > 0 && i < peers_.size(); ++i)
            if (waiting[i + 1].revents != 0) read_from(*peers_[i]);
        if (steady_clock::now() < next_beat) continue;
        beat();
        next_beat = steady_clock::now() + settings_.heartbeat;
    }
}

// Both ways: to be heard, and to see who was not.
void control_channel::beat() {
    for (const auto& each : peers_) {
        bool has_left = false;
        {
            const std::lock_guard lock(mutex_);
            has_left = each->has_left;
        }
        if (has_left) continue;
        if (steady_clock::now() - each->heard > settings_.silence)
            return lose(name_of(*each) + " is gone: it has not been heard of for " +
                            std::to_string(settings_.silence / 1s) + " s" + what_to_do,
                        *each);
        // Where a message is being sent this very moment, that is a sign of life as well.
        if (const std::unique_lock lock(each->sending, std::try_to_lock); lock) {
            const frame_head head{kind::heartbeat, 0};
            static_cast<void>(send_all(each->connection.get(), std::as_bytes(std::span(&head, 1)),
                                       steady_clock::now() + briefly));
        }
    }
}

void control_channel::read_from(peer& from) {
    std::array<std::byte, 64 * 1024> piece;
    const ssize_t got = ::recv(from.connection.get(), piece.data(), piece.size(), 0);
    if (got > 0) {
        from.arrived.insert(from.arrived.end(), piece.begin(), piece.begin() + got);
        from.heard = steady_clock::now();
        return take_frames(from);
    }
    if (got < 0 && (errno == EAGAIN || errno == EINTR)) return;
    lose(name_of(from) + " is gone: its process has ended" + what_to_do, from);
}

void control_channel::take_frames(peer& from) {
    std::size_t taken = 0;
    frame_head head{};
    while (from.arrived.size() - taken >= sizeof head) {
        std::memcpy(&head, from.arrived.data() + taken, sizeof head);
        if (head.bytes > most_frame_bytes) return lose(name_of(from) + " sent what is no message", from);
        if (from.arrived.size() - taken - sizeof head < head.bytes) break;
        const auto begin = from.arrived.begin() + static_cast<std::ptrdiff_t>(taken + sizeof head);
        taken += sizeof head + head.bytes;
        const std::vector<std::byte> content(begin, begin + static_cast<std::ptrdiff_t>(head.bytes));
        if (head.what == kind::failure)
            return lose({reinterpret_cast<const char*>(content.data()), content.size()}, from);
        const std::lock_guard lock(mutex_);
        if (head.what == kind::message) from.inbox.push_back(content);
        if (head.what == kind::farewell) from.has_left = true;
        changed_.notify_all();
    }
    from.arrived.erase(from.arrived.begin(), from.arrived.begin() + static_cast<std::ptrdiff_t>(taken));
}

// On the watching thread. The others hear of it from rank 0, which is the one they all are connected to.
void control_channel::lose(const std::string& why, peer& whose_fault) {
    {
        const std::lock_guard lock(mutex_);
        // A peer that goes while this rank tells the others of its own failure does so because it was told.
        if (failing_) {
            whose_fault.has_left = true;
            changed_.notify_all();
            return;
        }
        mark_lost(why);
    }
    changed_.notify_all();
    for (const auto& each : peers_) {
        if (each.get() != &whose_fault) send_frame(*each, kind::failure, as_bytes(why), briefly);
        ::shutdown(each->connection.get(), SHUT_RDWR); // ends a send that waits
    }
    call_those_who_asked();
}

void control_channel::mark_lost(const std::string& why) {
    lost_ = why;
    lost_at_ = steady_clock::now();
}

void control_channel::call_those_who_asked() {
    std::vector<std::function<void()>> calls;
    {
        const std::lock_guard lock(mutex_);
        calls.swap(on_loss_);
    }
    for (const auto& call : calls) call();
}

} // namespace petnet::ranks
