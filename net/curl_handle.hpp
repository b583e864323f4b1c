// SPDX-License-Identifier: Apache-2.0
// A libcurl handle, set up as all of petnet's connections are. Built where libcurl is.
#pragma once

#include "base/errors.hpp"

#include <array>
#include <curl/curl.h>
#include <initializer_list>
#include <memory>
#include <new>
#include <string>

namespace petnet::net {

// libcurl does not like an option's value: what it says of it. Of the URL, as a rule.
class curl_error : public environment_error {
  public:
    using environment_error::environment_error;
};

class curl_handle {
  public:
    curl_handle(); // environment_error where libcurl cannot be set up

    // Forgets the last request, keeps its connection, and sets what is the same for all: no protocol but http
    // and https, also after a redirect; petnet's name; certificates from CURL_CA_BUNDLE or SSL_CERT_FILE, and
    // SSL_CERT_DIR, which the curl tool reads and the library does not. Proxies are libcurl's own affair.
    void prepare(const std::string& url);

    template <class Value> void set(CURLoption option, Value value) {
        if (const CURLcode code = curl_easy_setopt(handle_.get(), option, value); code != CURLE_OK)
            throw curl_error(curl_easy_strerror(code));
    }
    template <class Value> [[nodiscard]] Value info(CURLINFO what) const {
        Value value{};
        curl_easy_getinfo(handle_.get(), what, &value);
        return value;
    }

    CURLcode perform() { return curl_easy_perform(handle_.get()); }

    // Of the answer; empty where it has none of that name.
    [[nodiscard]] std::string header(const char* name) const;
    // What went wrong, in one line.
    [[nodiscard]] std::string text_of(CURLcode code) const;

  private:
    void set_file_from_environment(CURLoption option, std::initializer_list<const char*> variables);

    struct deleter {
        void operator()(CURL* handle) const { curl_easy_cleanup(handle); }
    };
    std::unique_ptr<CURL, deleter> handle_;
    std::array<char, CURL_ERROR_SIZE> error_text_{};
};

// Header lines of a request.
class curl_headers {
  public:
    void add(const std::string& line) {
        curl_slist* const longer = curl_slist_append(list_.get(), line.c_str());
        if (longer == nullptr) throw std::bad_alloc();
        static_cast<void>(list_.release()); // the first stays the first
        list_.reset(longer);
    }
    [[nodiscard]] curl_slist* get() const { return list_.get(); }

  private:
    struct deleter {
        void operator()(curl_slist* list) const { curl_slist_free_all(list); }
    };
    std::unique_ptr<curl_slist, deleter> list_;
};

// Would the same come of another attempt?
[[nodiscard]] bool is_final(CURLcode code);

} // namespace petnet::net
