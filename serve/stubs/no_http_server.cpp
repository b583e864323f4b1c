// SPDX-License-Identifier: Apache-2.0
// Stands in for serve/http_server.cpp where cpp-httplib was not found at configure time.
#include "base/errors.hpp"
#include "serve/http_server.hpp"

namespace petnet::serve {

struct http_server::state {};

http_server::http_server(const std::string& /*host*/, int /*port*/, const http_limits& /*limits*/,
                         callbacks /*use*/) {
    throw environment_error("petnet serve: cpp-httplib was not there when this petnet was built (Debian: "
                            "libcpp-httplib-dev)");
}
http_server::~http_server() = default;

int http_server::port() const { return 0; }
void http_server::start() {}
void http_server::wind_down() {}
void http_server::stop() {}

} // namespace petnet::serve
