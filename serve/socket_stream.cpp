// SPDX-License-Identifier: Apache-2.0
#include "serve/socket_stream.hpp"

#include <algorithm>
#include <cerrno>
#include <poll.h>
#include <sys/socket.h>

namespace petnet::serve {
namespace {

using std::chrono::milliseconds;

// The end of the empty line that ends a head; npos where there is none. Line ends without \r count here, so
// that a head with such is refused as a whole, not waited for.
std::size_t end_of_head(std::string_view bytes) {
    for (std::size_t at = bytes.find('\n'); at != std::string_view::npos; at = bytes.find('\n', at + 1)) {
        if (bytes.substr(at + 1).starts_with('\n')) return at + 2;
        if (bytes.substr(at + 1).starts_with("\r\n")) return at + 3;
    }
    return std::string_view::npos;
}

} // namespace

bool socket_stream::wait(short events, clock::time_point deadline) {
    for (;;) {
        const auto left = std::chrono::ceil<milliseconds>(deadline - clock::now()).count();
        pollfd one{.fd = socket_.get(), .events = events, .revents = 0};
        const int found = ::poll(&one, 1, static_cast<int>(std::clamp<std::int64_t>(left, 0, 3'600'000)));
        if (found > 0) return true;
        if (found == 0) return false;
        if (errno != EINTR) return false;
    }
}

bool socket_stream::fill(clock::time_point deadline) {
    constexpr std::size_t piece = 64 * 1024;
    if (ended_) return false;
    if (!wait(POLLIN, deadline)) {
        late_ = true;
        return false;
    }
    if (at_ == in_.size()) {
        in_.clear();
        at_ = 0;
    }
    const std::size_t before = in_.size();
    in_.resize(before + piece);
    const ssize_t got = ::recv(socket_.get(), in_.data() + before, piece, MSG_DONTWAIT);
    in_.resize(before + static_cast<std::size_t>(std::max<ssize_t>(got, 0)));
    if (got < 0 && (errno == EAGAIN || errno == EINTR)) return true;
    ended_ = got <= 0;
    return !ended_;
}

bool socket_stream::wait_for_bytes(milliseconds at_most, const std::function<bool()>& give_up) {
    constexpr milliseconds a_while(100);
    const clock::time_point deadline = clock::now() + at_most;
    while (at_ == in_.size()) {
        const clock::time_point now = clock::now();
        if (wait(POLLIN, std::min(deadline, now + a_while))) return true;
        if (now >= deadline || give_up()) return false;
    }
    return true;
}

head_outcome socket_stream::read_head(clock::time_point deadline) {
    late_ = false;
    in_.erase(0, std::exchange(at_, 0));
    // A line end after the last body is what some clients send too much.
    while (in_.starts_with("\r\n")) in_.erase(0, 2);
    std::size_t end = end_of_head(in_);
    for (; end == std::string::npos; end = end_of_head(in_)) {
        if (in_.size() > largest_head) return head_outcome::too_large;
        if (!fill(deadline)) return late_ ? head_outcome::slow : head_outcome::closed;
    }
    if (end > largest_head) return head_outcome::too_large;
    head_left_ = end;
    body_left_ = 0;
    return head_outcome::complete;
}

void socket_stream::open_body(clock::time_point deadline, std::size_t limit) {
    deadline_ = deadline;
    body_left_ = limit;
}

std::ptrdiff_t socket_stream::read(char* to, std::size_t size) {
    std::size_t& left = head_left_ > 0 ? head_left_ : body_left_;
    if (left == 0 || size == 0) return 0;
    while (at_ == in_.size())
        if (!fill(deadline_)) return late_ ? -1 : 0;
    const std::size_t taken = std::min({size, left, in_.size() - at_});
    std::copy_n(in_.data() + at_, taken, to);
    at_ += taken;
    left -= taken;
    return static_cast<std::ptrdiff_t>(taken);
}

bool socket_stream::flush(clock::time_point deadline) {
    std::string_view rest = out_;
    while (!rest.empty()) {
        const ssize_t sent = ::send(socket_.get(), rest.data(), rest.size(), MSG_NOSIGNAL | MSG_DONTWAIT);
        if (sent >= 0)
            rest.remove_prefix(static_cast<std::size_t>(sent));
        else if (errno == EAGAIN ? !wait(POLLOUT, deadline) : errno != EINTR)
            break;
    }
    const bool all = rest.empty();
    out_.clear();
    return all;
}

void socket_stream::close_gently() {
    constexpr milliseconds a_moment(1000);
    ::shutdown(socket_.get(), SHUT_WR);
    const clock::time_point deadline = clock::now() + a_moment;
    while (clock::now() < deadline) {
        in_.clear();
        at_ = 0;
        if (!fill(deadline)) break;
    }
    socket_ = descriptor();
}

} // namespace petnet::serve
