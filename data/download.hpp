// SPDX-License-Identifier: Apache-2.0
// One file over HTTP, however the network behaves: resumed, retried, bounded. It is not verified here.
#pragma once

#include "base/errors.hpp"
#include "data/work_listener.hpp"

#include <chrono>
#include <cstdint>
#include <filesystem>
#include <string>

namespace petnet::data {

// How long a server is borne with.
struct download_patience {
    int attempts = 5; // in a row that bring less than 64 KiB; 2 where no connection was made
    std::chrono::milliseconds first_wait{1000};     // before the second attempt; doubles with each
    std::chrono::milliseconds longest_wait{60'000}; // bounds what a server asks for (Retry-After), too
    std::chrono::seconds connect{15};
    std::chrono::seconds stall{30}; // slower than 1 kB/s for so long, a connection is given up
};

struct download_request {
    std::string url;
    // Where the bytes are collected (data/part_file.hpp). A part that an earlier call left is continued
    // where the server still has the very same file, and is done where it was whole.
    std::filesystem::path part;
    std::uint64_t most_bytes = 0; // a larger file is refused
    download_patience patience{};
};

// This URL does not give the file; another one may.
class download_error : public environment_error {
  public:
    using environment_error::environment_error;
};

// Downloads request.url into request.part, all of it. http and https, at most five redirects, from https to
// https only. Proxies as libcurl takes them from http_proxy, https_proxy, all_proxy and no_proxy;
// certificates from CURL_CA_BUNDLE or SSL_CERT_FILE, and SSL_CERT_DIR. Lost and stalled connections and the
// answers 408, 429 and 5xx are tried again; a file that changes on the server while it comes in parts is
// begun anew, three times. download_error: there is no such file, a web page or a larger file is in its
// place, or patience is at its end; environment_error: the disk failed; work_stopped.
void download(const download_request& request, const work_listener& listener);

} // namespace petnet::data
