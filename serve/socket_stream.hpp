// SPDX-License-Identifier: Apache-2.0
// The bytes of a connection, read and written by a deadline; without any knowledge of HTTP but where a head
// ends.
#pragma once

#include "base/descriptor.hpp"

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <string>
#include <string_view>

namespace petnet::serve {

inline constexpr std::size_t largest_head = 32 * 1024; // bytes of a request line and its headers

enum class head_outcome : std::uint8_t { complete, too_large, slow, closed };

class socket_stream {
  public:
    using clock = std::chrono::steady_clock;
    explicit socket_stream(descriptor socket) : socket_(std::move(socket)) {}

    // Whether the other side sends something within `at_most`, or a tenth of a second after `give_up`.
    [[nodiscard]] bool wait_for_bytes(std::chrono::milliseconds at_most,
                                      const std::function<bool()>& give_up);
    // Collects a head, to and with its empty line. Until open_body() nothing beyond is read.
    [[nodiscard]] head_outcome read_head(clock::time_point deadline);
    // From here on bytes after the head are read too: by the deadline, and no more than `limit`.
    void open_body(clock::time_point deadline, std::size_t limit);

    // Up to `size` bytes; 0 at the end of the head, of the body's limit or of the connection; -1 by a failure
    // or the deadline.
    std::ptrdiff_t read(char* to, std::size_t size);
    [[nodiscard]] bool deadline_passed() const { return late_; }

    // Kept until flush(), which sends by the deadline. False where the other side does not take it.
    void write(std::string_view bytes) { out_ += bytes; }
    bool flush(clock::time_point deadline);

    // Ends what is sent, and reads for a moment what still comes: a socket closed before would lose the
    // answer on its way to somebody who is still sending.
    void close_gently();

    [[nodiscard]] int fd() const { return socket_.get(); }

  private:
    // Whether the socket can be read from (or written to) before the deadline.
    [[nodiscard]] bool wait(short events, clock::time_point deadline);
    [[nodiscard]] bool fill(clock::time_point deadline); // one recv more into in_

    descriptor socket_;
    std::string in_; // received; what is before at_ has been read
    std::size_t at_ = 0;
    std::size_t head_left_ = 0, body_left_ = 0; // that may still be read
    clock::time_point deadline_{};
    bool late_ = false, ended_ = false;
    std::string out_;
};

} // namespace petnet::serve
