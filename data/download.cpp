// SPDX-License-Identifier: Apache-2.0
#include "data/download.hpp"

#include "data/part_file.hpp"
#include "net/curl_handle.hpp"
#include "net/url.hpp"

#include <algorithm>
#include <array>
#include <cctype>
#include <charconv>
#include <cstdlib>
#include <curl/curl.h>
#include <exception>
#include <memory>
#include <optional>
#include <span>
#include <string_view>
#include <thread>
#include <utility>

namespace petnet::data {
namespace {

using namespace std::chrono_literals;
using clock = std::chrono::steady_clock;

constexpr std::uint64_t progress_bytes = 64 * 1024; // an attempt that brings so much was worth it
constexpr int most_restarts = 3;                    // for a file that changes under way
constexpr int attempts_unconnected = 2;             // who is offline need not wait to be told
constexpr auto report_interval = 200ms;
constexpr long redirects = 5;

constexpr long http_ok = 200, http_partial = 206, http_timeout = 408, http_not_in_file = 416,
               http_too_many_requests = 429;

std::string lower(std::string_view text) {
    std::string result(text);
    std::ranges::transform(result, result.begin(),
                           [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
    return result;
}

bool is_html(std::string_view start) {
    start.remove_prefix(std::min(start.find_first_not_of(" \t\r\n\xef\xbb\xbf"), start.size()));
    const std::string begin = lower(start.substr(0, 14));
    return begin.starts_with("<!doctype html") || begin.starts_with("<html");
}

struct content_range {
    std::uint64_t first = 0, total = 0; // total 0: not told
};

// "bytes 100-199/200", "bytes 100-199/*"
std::optional<content_range> parse_content_range(std::string_view text) {
    content_range range;
    const auto number = [&](std::uint64_t& value) {
        const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
        text.remove_prefix(static_cast<std::size_t>(end - text.data()));
        return error == std::errc();
    };
    const auto word = [&](std::string_view expected) {
        const bool there = text.starts_with(expected);
        if (there) text.remove_prefix(expected.size());
        return there;
    };
    std::uint64_t last = 0;
    if (!word("bytes ") || !number(range.first) || !word("-") || !number(last) || !word("/")) return {};
    if (text != "*" && (!number(range.total) || !text.empty())) return {};
    return range;
}

class transfer {
  public:
    transfer(const download_request& request, const work_listener& listener)
        : request_(request), listener_(listener), part_(request.part, request.url) {}

    void run() {
        if (part_.complete()) return;
        int fruitless = 0, restarts = 0;
        for (;;) {
            listener_.throw_if_stopping();
            const attempt_end end = attempt();
            if (end.what == attempt_end::done) return part_.finish();
            if (end.what == attempt_end::refused) fail(end.reason);
            if (end.what == attempt_end::changed) {
                if (++restarts > most_restarts) fail("the file on the server changes again and again");
                listener_.note(name() + ": " + end.reason + ", it is begun anew");
                part_.restart({.url = net::shown_url(request_.url)});
                continue;
            }
            fruitless = received_ >= progress_bytes ? 1 : fruitless + 1;
            const int allowed = ever_connected_ ? request_.patience.attempts
                                                : std::min(attempts_unconnected, request_.patience.attempts);
            if (fruitless >= allowed) fail(end.reason);
            const auto wait = std::min<std::chrono::milliseconds>(
                std::max(request_.patience.first_wait * (1 << (fruitless - 1)), end.asked_wait),
                request_.patience.longest_wait);
            if (ever_connected_) // who is offline is told once, in the end
                listener_.note(name() + ": " + end.reason + ", trying again in " +
                               std::to_string((wait.count() + 500) / 1000) + " s");
            sleep(wait);
        }
    }

  private:
    struct attempt_end {
        enum { done, again, changed, refused } what = done;
        std::string reason{};
        std::chrono::milliseconds asked_wait{0};
    };

    [[nodiscard]] std::string name() const { return net::file_name_of_url(request_.url); }

    [[noreturn]] void fail(const std::string& reason) const {
        throw download_error(net::shown_url(request_.url) + ": " + reason);
    }

    void sleep(std::chrono::milliseconds wait) const {
        for (const auto end = clock::now() + wait; clock::now() < end;) {
            listener_.throw_if_stopping();
            std::this_thread::sleep_for(std::min<clock::duration>(50ms, end - clock::now()));
        }
    }

    attempt_end attempt() {
        net::curl_headers headers;
        asked_from_ = part_.origin().validator().empty() ? 0 : part_.size();
        if (asked_from_ > 0) {
            headers.add("Range: bytes=" + std::to_string(asked_from_) + "-");
            headers.add("If-Range: " + part_.origin().validator());
        }
        received_ = 0;
        judged_ = false;
        verdict_.reset();
        try {
            curl_.prepare(request_.url);
            curl_.set(CURLOPT_FOLLOWLOCATION, 1L);
            curl_.set(CURLOPT_MAXREDIRS, redirects);
            curl_.set(CURLOPT_HTTPHEADER, headers.get());
            curl_.set(CURLOPT_CONNECTTIMEOUT, static_cast<long>(request_.patience.connect.count()));
            curl_.set(CURLOPT_LOW_SPEED_LIMIT, 1000L);
            curl_.set(CURLOPT_LOW_SPEED_TIME, static_cast<long>(request_.patience.stall.count()));
            curl_.set(CURLOPT_WRITEFUNCTION, &transfer::on_bytes);
            curl_.set(CURLOPT_WRITEDATA, this);
            curl_.set(CURLOPT_NOPROGRESS, 0L);
            curl_.set(CURLOPT_XFERINFOFUNCTION, &transfer::on_progress);
            curl_.set(CURLOPT_XFERINFODATA, this);
        } catch (const net::curl_error& problem) {
            fail(problem.what());
        }
        const CURLcode code = curl_.perform();
        ever_connected_ = ever_connected_ || curl_.info<curl_off_t>(CURLINFO_CONNECT_TIME_T) > 0;
        if (failure_) std::rethrow_exception(failure_);
        return judge_end(code);
    }

    [[nodiscard]] attempt_end judge_end(CURLcode code) {
        const bool answered = code == CURLE_OK || code == CURLE_WRITE_ERROR;
        if (answered && !judged_) judge_answer(); // an answer without a single byte
        if (verdict_) return *verdict_;
        if (code != CURLE_OK)
            return {net::is_final(code) ? attempt_end::refused : attempt_end::again, text_of(code)};
        if (part_.origin().bytes > part_.size())
            return {attempt_end::again, "the server sent less than it promised"};
        return {attempt_end::done};
    }

    [[nodiscard]] std::string text_of(CURLcode code) const {
        if (code == CURLE_UNSUPPORTED_PROTOCOL)
            return "it leads to an address that is neither http nor https, or from https to http";
        if (code == CURLE_TOO_MANY_REDIRECTS)
            return "it is redirected more than " + std::to_string(redirects) + " times";
        return curl_.text_of(code);
    }

    // With the head of the answer there: from where on its bytes count, or why they do not (verdict_).
    void judge_answer() {
        judged_ = true;
        const auto status = curl_.info<long>(CURLINFO_RESPONSE_CODE);
        if (status == http_ok)
            judge_whole();
        else if (status == http_partial && asked_from_ > 0)
            judge_rest();
        else if (status == http_not_in_file && asked_from_ > 0)
            verdict_ = {attempt_end::changed, "the file on the server is shorter now"};
        else
            judge_refusal(status);
    }

    void judge_whole() {
        const auto length = curl_.info<curl_off_t>(CURLINFO_CONTENT_LENGTH_DOWNLOAD_T);
        const auto bytes = static_cast<std::uint64_t>(std::max<curl_off_t>(length, 0));
        if (lower(curl_.header("Content-Type")).starts_with("text/html")) return refuse_html();
        if (bytes > request_.most_bytes) return refuse_size(bytes);
        if (part_.size() > 0 && asked_from_ > 0)
            listener_.note(name() + ": the server sends it from its beginning again");
        part_.restart(
            {net::shown_url(request_.url), curl_.header("ETag"), curl_.header("Last-Modified"), bytes});
    }

    void judge_rest() {
        const part_origin& origin = part_.origin();
        const std::string etag = curl_.header("ETag"), date = curl_.header("Last-Modified");
        const auto range = parse_content_range(curl_.header("Content-Range"));
        const bool same = range && range->first == asked_from_ &&
                          (range->total == 0 || origin.bytes == 0 || range->total == origin.bytes) &&
                          (etag.empty() || etag == origin.etag) &&
                          (date.empty() || date == origin.last_modified);
        if (!same) verdict_ = {attempt_end::changed, "the file on the server has changed"};
    }

    void judge_refusal(long status) {
        const auto seconds = curl_.info<curl_off_t>(CURLINFO_RETRY_AFTER);
        const bool passing = status == http_timeout || status == http_too_many_requests || status >= 500;
        verdict_ = {passing ? attempt_end::again : attempt_end::refused,
                    "the server answers " + std::to_string(status) +
                        (status == 404 ? " (there is no such file)" : ""),
                    std::chrono::seconds(std::clamp<curl_off_t>(seconds, 0, 3600))};
    }

    void refuse_html() {
        verdict_ = {attempt_end::refused,
                    "a web page (HTML) came instead of the file: a proxy's or a login page perhaps"};
    }

    void refuse_size(std::uint64_t bytes) {
        verdict_ = {attempt_end::refused, "the file has " + std::to_string(bytes) +
                                              " bytes or more, at most " +
                                              std::to_string(request_.most_bytes) + " are expected"};
    }

    // Whether to go on.
    bool take(std::span<const char> bytes) {
        if (!judged_) judge_answer();
        if (verdict_) return false;
        if (part_.size() == 0 && is_html({bytes.data(), bytes.size()})) refuse_html();
        if (part_.size() + bytes.size() > request_.most_bytes) refuse_size(part_.size() + bytes.size());
        if (const std::uint64_t whole = part_.origin().bytes;
            whole > 0 && part_.size() + bytes.size() > whole)
            verdict_ = {attempt_end::changed, "the server sends more than the file has"};
        if (verdict_) return false;
        if (!std::exchange(told_, true)) listener_.note("downloading " + net::shown_url(request_.url));
        part_.append(bytes);
        received_ += bytes.size();
        return true;
    }

    // libcurl is C: no exception may pass through it.
    template <class Action> bool guarded(const Action& action) noexcept {
        try {
            return action();
        } catch (...) {
            failure_ = std::current_exception();
            return false;
        }
    }

    static std::size_t on_bytes(char* bytes, std::size_t size, std::size_t count, void* self) {
        auto& me = *static_cast<transfer*>(self);
        return me.guarded([&] { return me.take({bytes, size * count}); }) ? size * count : 0;
    }

    static int on_progress(void* self, curl_off_t, curl_off_t, curl_off_t, curl_off_t) {
        auto& me = *static_cast<transfer*>(self);
        const bool go_on = me.guarded([&] {
            me.listener_.throw_if_stopping();
            me.report();
            return true;
        });
        return go_on ? 0 : 1;
    }

    void report() {
        if (clock::now() - reported_ < report_interval || part_.size() == 0) return;
        reported_ = clock::now();
        listener_.progress(
            {.what = "downloading " + name(),
             .done = part_.size(),
             .total = part_.origin().bytes,
             .per_second = static_cast<double>(curl_.info<curl_off_t>(CURLINFO_SPEED_DOWNLOAD_T))});
    }

    const download_request& request_;
    const work_listener& listener_;
    part_file part_;
    net::curl_handle curl_;
    // Of the attempt that runs:
    std::uint64_t asked_from_ = 0, received_ = 0;
    bool judged_ = false;
    std::optional<attempt_end> verdict_;
    // Of all:
    std::exception_ptr failure_;
    bool ever_connected_ = false, told_ = false;
    clock::time_point reported_{};
};

} // namespace

void download(const download_request& request, const work_listener& listener) {
    try {
        transfer(request, listener).run();
    } catch (const download_error&) {
        std::error_code error;
        if (std::filesystem::file_size(request.part, error) == 0) discard_part(request.part);
        throw;
    }
}

} // namespace petnet::data
