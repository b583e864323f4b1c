// SPDX-License-Identifier: Apache-2.0
#include "net/curl_handle.hpp"

#include "base/version.hpp"

#include <algorithm>
#include <cctype>
#include <cstdlib>
#include <string_view>

namespace petnet::net {
namespace {

// libcurl is set up once in a process; it is never torn down, as other threads may be in it.
void initialise_curl() {
    static const CURLcode once = curl_global_init(CURL_GLOBAL_DEFAULT);
    if (once != CURLE_OK) throw environment_error("libcurl cannot be set up");
}

bool is_https(std::string_view url) {
    constexpr std::string_view scheme = "https:";
    return url.size() >= scheme.size() &&
           std::ranges::equal(url.substr(0, scheme.size()), scheme, {},
                              [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
}

} // namespace

curl_handle::curl_handle() {
    initialise_curl();
    handle_.reset(curl_easy_init());
    if (handle_ == nullptr) throw environment_error("libcurl cannot be set up");
}

void curl_handle::prepare(const std::string& url) {
    error_text_.fill('\0');
    curl_easy_reset(handle_.get());
    set(CURLOPT_URL, url.c_str());
    set(CURLOPT_PROTOCOLS_STR, "http,https");
    set(CURLOPT_REDIR_PROTOCOLS_STR, is_https(url) ? "https" : "http,https");
    set(CURLOPT_NOSIGNAL, 1L);
    set(CURLOPT_USERAGENT, ("petnet/" + version()).c_str());
    set(CURLOPT_ERRORBUFFER, error_text_.data());
    set_file_from_environment(CURLOPT_CAINFO, {"CURL_CA_BUNDLE", "SSL_CERT_FILE"});
    set_file_from_environment(CURLOPT_CAPATH, {"SSL_CERT_DIR"});
}

void curl_handle::set_file_from_environment(CURLoption option, std::initializer_list<const char*> variables) {
    for (const char* variable : variables)
        if (const char* file = std::getenv(variable); file != nullptr && *file != '\0')
            return set(option, file);
}

std::string curl_handle::header(const char* name) const {
    curl_header* found = nullptr;
    return curl_easy_header(handle_.get(), name, 0, CURLH_HEADER, -1, &found) == CURLHE_OK ? found->value
                                                                                           : "";
}

std::string curl_handle::text_of(CURLcode code) const {
    if (code == CURLE_PARTIAL_FILE) return "the connection ended too early";
    std::string text = error_text_[0] != '\0' ? error_text_.data() : curl_easy_strerror(code);
    std::ranges::replace_if(
        text, [](unsigned char c) { return std::iscntrl(c) != 0; }, ' ');
    return text;
}

bool is_final(CURLcode code) {
    constexpr std::array codes{CURLE_UNSUPPORTED_PROTOCOL, CURLE_URL_MALFORMAT,
                               CURLE_TOO_MANY_REDIRECTS,   CURLE_PEER_FAILED_VERIFICATION,
                               CURLE_SSL_CACERT_BADFILE,   CURLE_SSL_CERTPROBLEM,
                               CURLE_SSL_CIPHER,           CURLE_SSL_ISSUER_ERROR,
                               CURLE_OUT_OF_MEMORY,        CURLE_FAILED_INIT};
    return std::ranges::find(codes, code) != codes.end();
}

} // namespace petnet::net
