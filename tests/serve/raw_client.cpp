// SPDX-License-Identifier: Apache-2.0
#include "tests/serve/raw_client.hpp"

#include <algorithm>
#include <arpa/inet.h>
#include <cctype>
#include <poll.h>
#include <stdexcept>
#include <sys/socket.h>

namespace petnet::testing {

raw_client::raw_client(int port) : socket_(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(static_cast<std::uint16_t>(port));
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    if (::connect(socket_.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0)
        throw std::runtime_error("nobody listens on port " + std::to_string(port));
}

bool raw_client::send(std::string_view bytes) const {
    while (!bytes.empty()) {
        const ssize_t sent = ::send(socket_.get(), bytes.data(), bytes.size(), MSG_NOSIGNAL);
        if (sent <= 0) return false;
        bytes.remove_prefix(static_cast<std::size_t>(sent));
    }
    return true;
}

bool raw_client::more(std::chrono::milliseconds at_most) {
    pollfd one{.fd = socket_.get(), .events = POLLIN, .revents = 0};
    if (::poll(&one, 1, static_cast<int>(at_most.count())) <= 0) return false;
    char piece[16 * 1024];
    const ssize_t got = ::recv(socket_.get(), piece, sizeof piece, 0);
    if (got <= 0) return false;
    in_.append(piece, static_cast<std::size_t>(got));
    return true;
}

std::optional<http_response> raw_client::read(std::chrono::milliseconds at_most) {
    std::size_t end = 0;
    while ((end = in_.find("\r\n\r\n")) == std::string::npos)
        if (!more(at_most)) return {};
    http_response answer;
    answer.status = std::stoi(in_.substr(in_.find(' ')));
    for (std::size_t at = in_.find("\r\n"); at < end;) {
        const std::size_t line_end = in_.find("\r\n", at + 2), colon = in_.find(':', at);
        std::string name = in_.substr(at + 2, colon - at - 2);
        std::ranges::transform(name, name.begin(), [](unsigned char c) { return std::tolower(c); });
        answer.headers[name] = in_.substr(colon + 2, line_end - colon - 2);
        at = line_end;
    }
    in_.erase(0, end + 4);
    if (answer.status == 100) return answer;
    const std::size_t length = std::stoul(answer.headers.at("content-length"));
    while (in_.size() < length)
        if (!more(at_most)) return {};
    answer.body = in_.substr(0, length);
    in_.erase(0, length);
    return answer;
}

bool raw_client::closed_within(std::chrono::milliseconds at_most) {
    const auto deadline = std::chrono::steady_clock::now() + at_most;
    while (std::chrono::steady_clock::now() < deadline) {
        pollfd one{.fd = socket_.get(), .events = POLLIN, .revents = 0};
        char piece[1024];
        if (::poll(&one, 1, 10) > 0 && ::recv(socket_.get(), piece, sizeof piece, 0) <= 0) return true;
    }
    return false;
}

std::string request(const std::string& method, const std::string& path, const std::string& headers,
                    std::string_view body) {
    std::string bytes = method + " " + path + " HTTP/1.1\r\nHost: localhost\r\n" + headers;
    if (!body.empty()) bytes += "Content-Length: " + std::to_string(body.size()) + "\r\n";
    return bytes.append("\r\n").append(body);
}

http_response ask(int port, const std::string& bytes) {
    raw_client client(port);
    (void)client.send(bytes); // an answer may come before all has been taken
    return client.read().value_or(http_response{});
}

} // namespace petnet::testing
