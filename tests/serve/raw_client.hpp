// SPDX-License-Identifier: Apache-2.0
// A connection to a server on this machine that sends any bytes, also such as no client should.
#pragma once

#include "base/descriptor.hpp"

#include <chrono>
#include <map>
#include <optional>
#include <string>
#include <string_view>

namespace petnet::testing {

struct http_response {
    int status = 0;
    std::map<std::string, std::string> headers; // names in lower case; of several the last
    std::string body;
};

class raw_client {
  public:
    explicit raw_client(int port);
    // False where the other side has closed.
    bool send(std::string_view bytes) const;
    // The next answer; nothing where the connection ended, or nothing came for `at_most`.
    std::optional<http_response> read(std::chrono::milliseconds at_most = std::chrono::seconds(60));
    // Whether the other side closes within the time; what it still sends is dropped.
    bool closed_within(std::chrono::milliseconds at_most);

  private:
    bool more(std::chrono::milliseconds at_most);
    descriptor socket_;
    std::string in_;
};

// "METHOD PATH HTTP/1.1", the headers (each with its "\r\n"), and the length of the body where there is one.
[[nodiscard]] std::string request(const std::string& method, const std::string& path,
                                  const std::string& headers = {}, std::string_view body = {});

// By a connection of its own. Status 0: no answer.
http_response ask(int port, const std::string& bytes);

} // namespace petnet::testing
