// SPDX-License-Identifier: Apache-2.0
#include "train/ranks/connection.hpp"

#include "base/errors.hpp"

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <fcntl.h>
#include <ifaddrs.h>
#include <memory>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/socket.h>
#include <system_error>

namespace petnet::ranks {
namespace {

using std::chrono::milliseconds;

int milliseconds_until(deadline until) {
    const auto left =
        std::chrono::duration_cast<milliseconds>(until - std::chrono::steady_clock::now()).count();
    return static_cast<int>(std::clamp<std::int64_t>(left, 0, 3'600'000));
}

// False where the time is over.
bool wait_for(int connection, short events, deadline until) {
    for (;;) {
        pollfd entry{.fd = connection, .events = events, .revents = 0};
        const int ready = ::poll(&entry, 1, milliseconds_until(until));
        if (ready > 0) return true;
        if (ready == 0 || errno != EINTR) return false;
    }
}

void set_option(int socket, int level, int name) {
    const int on = 1;
    static_cast<void>(::setsockopt(socket, level, name, &on, sizeof on)); // it works without, slower
}

std::string in_digits(const sockaddr* address, socklen_t length) {
    std::array<char, NI_MAXHOST> text{};
    if (::getnameinfo(address, length, text.data(), text.size(), nullptr, 0, NI_NUMERICHOST) != 0) return "";
    constexpr std::string_view mapped = "::ffff:"; // IPv4 as an IPv6 socket sees it
    const std::string digits = text.data();
    return digits.starts_with(mapped) ? digits.substr(mapped.size()) : digits;
}

environment_error cannot_wait_at(std::uint16_t port) {
    return environment_error("the other ranks cannot be waited for at port " + std::to_string(port) + ": " +
                             std::generic_category().message(errno));
}

bool would_wait() { return errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR; }

// What can be moved without waiting is taken off `bytes`; false where the connection is at its end.
bool send_some(int connection, std::span<const std::byte>& bytes) {
    const ssize_t sent = ::send(connection, bytes.data(), bytes.size(), MSG_NOSIGNAL);
    if (sent < 0) return would_wait();
    bytes = bytes.subspan(static_cast<std::size_t>(sent));
    return true;
}
bool receive_some(int connection, std::span<std::byte>& bytes) {
    const ssize_t received = ::recv(connection, bytes.data(), bytes.size(), 0);
    if (received == 0) return false;
    if (received < 0) return would_wait();
    bytes = bytes.subspan(static_cast<std::size_t>(received));
    return true;
}

} // namespace

descriptor hold_port(std::uint16_t port) {
    // One socket for IPv6 and IPv4, where there is IPv6.
    descriptor bound(::socket(AF_INET6, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
    sockaddr_in6 six{};
    sockaddr_in four{};
    const sockaddr* address = nullptr;
    socklen_t length = 0;
    if (bound.is_open()) {
        const int off = 0;
        static_cast<void>(::setsockopt(bound.get(), IPPROTO_IPV6, IPV6_V6ONLY, &off, sizeof off));
        six.sin6_family = AF_INET6;
        six.sin6_port = htons(port);
        address = reinterpret_cast<const sockaddr*>(&six);
        length = sizeof six;
    } else {
        bound = descriptor(::socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
        four.sin_family = AF_INET;
        four.sin_port = htons(port);
        address = reinterpret_cast<const sockaddr*>(&four);
        length = sizeof four;
    }
    set_option(bound.get(), SOL_SOCKET, SO_REUSEADDR); // a restart need not wait for the old port
    if (!bound.is_open() || ::bind(bound.get(), address, length) != 0) throw cannot_wait_at(port);
    return bound;
}

descriptor listen_at(std::uint16_t port) {
    descriptor bound = hold_port(port);
    if (::listen(bound.get(), SOMAXCONN) != 0) throw cannot_wait_at(port);
    return bound;
}

std::uint16_t port_of(const descriptor& bound) {
    sockaddr_storage address{};
    socklen_t length = sizeof address;
    if (::getsockname(bound.get(), reinterpret_cast<sockaddr*>(&address), &length) != 0) return 0;
    return ntohs(address.ss_family == AF_INET6 ? reinterpret_cast<const sockaddr_in6*>(&address)->sin6_port
                                               : reinterpret_cast<const sockaddr_in*>(&address)->sin_port);
}

descriptor accept_one(const descriptor& listening, milliseconds within) {
    const deadline until = std::chrono::steady_clock::now() + within;
    if (!wait_for(listening.get(), POLLIN, until)) return descriptor();
    descriptor connection(::accept4(listening.get(), nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC));
    if (connection.is_open()) set_option(connection.get(), IPPROTO_TCP, TCP_NODELAY);
    return connection;
}

descriptor connect_to(const std::string& address, std::uint16_t port, milliseconds within) {
    const deadline until = std::chrono::steady_clock::now() + within;
    addrinfo wanted{}, *found = nullptr;
    wanted.ai_socktype = SOCK_STREAM;
    if (::getaddrinfo(address.c_str(), std::to_string(port).c_str(), &wanted, &found) != 0)
        return descriptor();
    const std::unique_ptr<addrinfo, decltype(&::freeaddrinfo)> all(found, ::freeaddrinfo);
    for (const addrinfo* each = found; each != nullptr; each = each->ai_next) {
        descriptor connection(::socket(each->ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
        if (!connection.is_open()) continue;
        if (::connect(connection.get(), each->ai_addr, each->ai_addrlen) != 0) {
            if (errno != EINPROGRESS || !wait_for(connection.get(), POLLOUT, until)) continue;
            int error = 0;
            socklen_t length = sizeof error;
            ::getsockopt(connection.get(), SOL_SOCKET, SO_ERROR, &error, &length);
            if (error != 0) continue;
        }
        set_option(connection.get(), IPPROTO_TCP, TCP_NODELAY);
        return connection;
    }
    return descriptor();
}

std::string address_of_peer(const descriptor& connection) {
    sockaddr_storage address{};
    socklen_t length = sizeof address;
    if (::getpeername(connection.get(), reinterpret_cast<sockaddr*>(&address), &length) != 0) return "";
    return in_digits(reinterpret_cast<const sockaddr*>(&address), length);
}

std::vector<std::string> own_addresses() {
    std::vector<std::string> addresses{"127.0.0.1"};
    ifaddrs* found = nullptr;
    if (::getifaddrs(&found) != 0) return addresses;
    const std::unique_ptr<ifaddrs, decltype(&::freeifaddrs)> all(found, ::freeifaddrs);
    for (const ifaddrs* each = found; each != nullptr; each = each->ifa_next) {
        if (each->ifa_addr == nullptr) continue;
        const int family = each->ifa_addr->sa_family;
        if (family != AF_INET && family != AF_INET6) continue;
        const std::string digits =
            in_digits(each->ifa_addr, family == AF_INET ? sizeof(sockaddr_in) : sizeof(sockaddr_in6));
        if (!digits.empty() && digits != addresses.front() && digits != "::1") addresses.push_back(digits);
    }
    return addresses;
}

bool send_all(int connection, std::span<const std::byte> bytes, deadline until) {
    while (!bytes.empty())
        if (!send_some(connection, bytes) || (!bytes.empty() && !wait_for(connection, POLLOUT, until)))
            return false;
    return true;
}

bool receive_all(int connection, std::span<std::byte> bytes, deadline until) {
    while (!bytes.empty())
        if (!wait_for(connection, POLLIN, until) || !receive_some(connection, bytes)) return false;
    return true;
}

std::optional<std::size_t> transfer_all(std::span<transfer> transfers) {
    std::vector<pollfd> waiting;
    std::vector<std::size_t> whose;
    for (;;) {
        waiting.clear();
        whose.clear();
        for (std::size_t i = 0; i < transfers.size(); ++i) {
            transfer& each = transfers[i];
            if (!each.out.empty() && !send_some(each.connection, each.out)) return i;
            if (!each.in.empty() && !receive_some(each.connection, each.in)) return i;
            const auto events =
                static_cast<short>((each.out.empty() ? 0 : POLLOUT) | (each.in.empty() ? 0 : POLLIN));
            if (events == 0) continue;
            waiting.push_back({.fd = each.connection, .events = events, .revents = 0});
            whose.push_back(i);
        }
        if (waiting.empty()) return {};
        if (::poll(waiting.data(), waiting.size(), -1) < 0 && errno != EINTR) return whose.front();
    }
}

} // namespace petnet::ranks
