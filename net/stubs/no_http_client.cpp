// SPDX-License-Identifier: Apache-2.0
// Stands in for net/http_client.cpp where libcurl was not found at configure time.
#include "net/http_client.hpp"

namespace petnet::net {

struct http_client::state {};

http_client::http_client() = default;
http_client::~http_client() = default;

http_answer http_client::send(const http_call& /*call*/) {
    return {.failure = "libcurl was not there when this petnet was built"};
}

bool can_talk_http() { return false; }

} // namespace petnet::net
