// SPDX-License-Identifier: Apache-2.0
// A web server on this machine that answers as a test says, also as no good server would.
#pragma once

#include <chrono>
#include <cstddef>
#include <filesystem>
#include <functional>
#include <limits>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace petnet::testing {

struct http_request {
    std::string method, target;                 // "/images.tar.gz"; all of the URL where a proxy is asked
    std::map<std::string, std::string> headers; // names in lower case
    std::string body;
    std::size_t number = 0; // of the request, from 0

    // The first byte that Range asks for; 0: it asks for all.
    [[nodiscard]] std::size_t from() const;
    [[nodiscard]] std::string header(const std::string& name) const;
};

class http_connection {
  public:
    virtual ~http_connection() = default;
    virtual void send(std::string_view bytes) = 0; // what the other side does not want is lost
    // Waits until the other side leaves, at most so long.
    virtual void stall(std::chrono::milliseconds at_most) = 0;
    // The connection is lost, not closed.
    virtual void reset() = 0;
};

// A file as a good server has it.
struct served_file {
    std::string content;
    std::string etag = "\"first\"", last_modified{}, type = "application/octet-stream";
    // Answers with the part that was asked for, if it is still the same file; the body ends after `most`
    // bytes, whatever was promised.
    void send(const http_request& request, http_connection& connection,
              std::size_t most = std::numeric_limits<std::size_t>::max()) const;
};

// "HTTP/1.1 404 Not Found", with more header lines ("Name: value\r\n") and a body.
void send_answer(http_connection& connection, const std::string& status, const std::string& headers = {},
                 std::string_view body = {});

// Every connection brings one request and is answered on a thread of its own. With a folder for its
// certificate ("certificate.pem", made for the purpose), it speaks https.
class http_server {
  public:
    using handler = std::function<void(const http_request&, http_connection&)>;
    explicit http_server(handler answer, const std::filesystem::path& https_folder = {});
    ~http_server();                           // ends connections that are still open
    http_server(const http_server&) = delete; // owns threads
    http_server& operator=(const http_server&) = delete;

    [[nodiscard]] std::string url(const std::string& target) const;
    [[nodiscard]] std::vector<http_request> requests() const;

  private:
    struct state;
    std::unique_ptr<state> state_;
};

// A URL at which nobody listens.
[[nodiscard]] std::string url_of_nobody(const std::string& target);

} // namespace petnet::testing
