// SPDX-License-Identifier: Apache-2.0
// A request over HTTP, sent once, and its answer in memory. Files of any size come by data/download.hpp.
#pragma once

#include <chrono>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <string>
#include <vector>

namespace petnet::net {

// Bytes of a file, to be sent without being held in memory.
struct file_part {
    std::filesystem::path file;
    std::uint64_t first = 0, bytes = 0;
};

struct http_call {
    std::string method = "GET", url;
    std::vector<std::string> headers{}; // "Name: value"; what they say is shown and written nowhere
    std::string body{};
    file_part file{}; // where a file is named, the body
    std::chrono::milliseconds connect{10'000};
    std::chrono::milliseconds silence{30'000}; // in which no byte moves: the call is given up
    bool proxy = true; // false: asks the address itself, whatever the environment says
    bool verify_certificate = true;
    // Called about once a second and whenever bytes have moved, with their number; false: the call is given
    // up. Must not throw.
    std::function<bool(std::uint64_t moved)> go_on{};
};

struct http_answer {
    int status = 0;     // 0: no answer came
    std::string body{}; // at most 1 MiB; a longer one is no answer
    std::chrono::seconds retry_after{0};
    std::string failure{};  // why none came, in one line that names no address
    bool cancelled = false; // by go_on
};

// Keeps its connection from one call to the next; one thread at a time.
class http_client {
  public:
    http_client();
    ~http_client();
    http_client(const http_client&) = delete; // owns a connection
    http_client& operator=(const http_client&) = delete;

    // Follows no redirect: credentials go where they were meant to go. Does not throw for anything that the
    // network or the server does.
    [[nodiscard]] http_answer send(const http_call& call);

  private:
    struct state;
    std::unique_ptr<state> state_;
};

// Whether this petnet was built with libcurl; without it `send` always fails.
[[nodiscard]] bool can_talk_http();

} // namespace petnet::net
