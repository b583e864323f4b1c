// SPDX-License-Identifier: Apache-2.0
// An HTTP/1.1 server for few routes and hostile clients, on cpp-httplib: a thread for each connection, of
// which there are so many at most; heads, bodies and times bounded.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace petnet::serve {

struct http_answer {
    int status = 200;
    std::string type = "application/json", body{};
    std::vector<std::pair<std::string, std::string>> headers{}; // more than those
};

enum class body_outcome : std::uint8_t { complete, too_large, slow, broken };

// A request whose head has been read, and its body not yet: whoever refuses it need not read it.
class http_request {
  public:
    virtual ~http_request() = default;
    [[nodiscard]] virtual const std::string& method() const = 0;
    [[nodiscard]] virtual const std::string& path() const = 0;                   // decoded, without the query
    [[nodiscard]] virtual std::string header(const std::string& name) const = 0; // empty where it is absent
    // Of the body as the head says; absent where it comes in chunks.
    [[nodiscard]] virtual std::optional<std::size_t> declared_bytes() const = 0;
    // The body, decompressed, no more than `limit` bytes of it. Once.
    [[nodiscard]] virtual body_outcome read_body(std::size_t limit, std::string& body) = 0;
};

struct http_limits {
    std::size_t connections = 256;
    std::chrono::milliseconds request_time{30000}; // for a head, for a body, and for taking an answer
    std::chrono::milliseconds idle_time{60000};    // of a connection between two requests
};

class http_server {
  public:
    struct callbacks {
        std::function<http_answer(http_request&)> answer; // on any thread; what it throws is answered by 500
        std::function<void(int status)> on_answered;      // also what never reaches `answer`
    };
    // Listens at once and answers nobody yet. Port 0: one that is free. environment_error: the address cannot
    // be listened on, another program listens there, or cpp-httplib was absent when this was built.
    http_server(const std::string& host, int port, const http_limits& limits, callbacks use);
    ~http_server();                           // as stop()
    http_server(const http_server&) = delete; // owns threads
    http_server& operator=(const http_server&) = delete;

    [[nodiscard]] int port() const;
    void start();
    // From here on each answer is the last of its connection, and connections without a request are closed.
    void wind_down();
    // Listens no more; returns when what was asked is answered.
    void stop();

  private:
    struct state;
    std::unique_ptr<state> state_;
};

} // namespace petnet::serve
