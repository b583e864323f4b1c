// SPDX-License-Identifier: Apache-2.0
#include "net/http_client.hpp"

#include "base/descriptor.hpp"
#include "net/curl_handle.hpp"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <fcntl.h>
#include <string_view>
#include <unistd.h>

namespace petnet::net {
namespace {

using clock = std::chrono::steady_clock;

constexpr std::size_t longest_answer = 1024 * 1024;

// One call while libcurl is in it.
class exchange {
  public:
    exchange(const http_call& call, curl_handle& handle) : call_(call), handle_(handle) {}

    http_answer run() {
        if (!call_.file.file.empty() && !open_file())
            return {.failure = "cannot read " + call_.file.file.string() + ": " + std::strerror(errno)};
        prepare();
        const CURLcode code = handle_.perform();
        if (code == CURLE_OK) {
            answer_.status = static_cast<int>(handle_.info<long>(CURLINFO_RESPONSE_CODE));
            answer_.retry_after = std::chrono::seconds(
                std::clamp<curl_off_t>(handle_.info<curl_off_t>(CURLINFO_RETRY_AFTER), 0, 3600));
            return answer_;
        }
        if (answer_.cancelled)
            answer_.failure = "given up";
        else if (silent_)
            answer_.failure = "no answer within " + std::to_string(call_.silence.count() / 1000) + " s";
        else if (too_long_)
            answer_.failure = "the answer is longer than a megabyte";
        else
            answer_.failure = handle_.text_of(code);
        return answer_;
    }

  private:
    bool open_file() {
        file_ = descriptor(::open(call_.file.file.c_str(), O_RDONLY | O_CLOEXEC));
        return file_.is_open();
    }

    void prepare() {
        handle_.prepare(call_.url);
        headers_.add("Expect:"); // a server that does not know it would cost a second
        for (const std::string& line : call_.headers) headers_.add(line);
        handle_.set(CURLOPT_HTTPHEADER, headers_.get());
        handle_.set(CURLOPT_CUSTOMREQUEST, call_.method.c_str());
        handle_.set(CURLOPT_CONNECTTIMEOUT_MS, static_cast<long>(call_.connect.count()));
        if (!call_.proxy) handle_.set(CURLOPT_NOPROXY, "*");
        if (!call_.verify_certificate) {
            handle_.set(CURLOPT_SSL_VERIFYPEER, 0L);
            handle_.set(CURLOPT_SSL_VERIFYHOST, 0L);
        }
        if (file_.is_open() || call_.method == "PUT" || call_.method == "POST") {
            handle_.set(CURLOPT_UPLOAD, 1L);
            handle_.set(CURLOPT_INFILESIZE_LARGE, static_cast<curl_off_t>(body_bytes()));
            handle_.set(CURLOPT_READFUNCTION, &exchange::on_read);
            handle_.set(CURLOPT_READDATA, this);
            handle_.set(CURLOPT_SEEKFUNCTION, &exchange::on_seek);
            handle_.set(CURLOPT_SEEKDATA, this);
        }
        handle_.set(CURLOPT_WRITEFUNCTION, &exchange::on_bytes);
        handle_.set(CURLOPT_WRITEDATA, this);
        handle_.set(CURLOPT_NOPROGRESS, 0L);
        handle_.set(CURLOPT_XFERINFOFUNCTION, &exchange::on_progress);
        handle_.set(CURLOPT_XFERINFODATA, this);
    }

    [[nodiscard]] std::uint64_t body_bytes() const {
        return file_.is_open() ? call_.file.bytes : call_.body.size();
    }

    std::size_t read(char* to, std::size_t most) {
        const auto count = static_cast<std::size_t>(std::min<std::uint64_t>(most, body_bytes() - sent_));
        if (!file_.is_open()) {
            std::copy_n(call_.body.data() + sent_, count, to);
        } else {
            for (std::size_t done = 0; done < count;) {
                const ssize_t got = ::pread(file_.get(), to + done, count - done,
                                            static_cast<off_t>(call_.file.first + sent_ + done));
                if (got < 0 && errno == EINTR) continue;
                if (got <= 0) return CURL_READFUNC_ABORT; // the file is shorter now, or its disk fails
                done += static_cast<std::size_t>(got);
            }
        }
        sent_ += count;
        return count;
    }

    static std::size_t on_read(char* to, std::size_t size, std::size_t count, void* self) {
        return static_cast<exchange*>(self)->read(to, size * count);
    }

    // libcurl goes back where a kept connection turns out to be closed.
    static int on_seek(void* self, curl_off_t offset, int origin) {
        auto& me = *static_cast<exchange*>(self);
        if (origin != SEEK_SET || offset < 0 || static_cast<std::uint64_t>(offset) > me.body_bytes())
            return CURL_SEEKFUNC_FAIL;
        me.sent_ = static_cast<std::uint64_t>(offset);
        return CURL_SEEKFUNC_OK;
    }

    static std::size_t on_bytes(char* bytes, std::size_t size, std::size_t count, void* self) {
        auto& me = *static_cast<exchange*>(self);
        me.too_long_ = me.answer_.body.size() + size * count > longest_answer;
        if (me.too_long_) return 0;
        me.answer_.body.append(bytes, size * count);
        return size * count;
    }

    static int on_progress(void* self, curl_off_t, curl_off_t down, curl_off_t, curl_off_t up) {
        auto& me = *static_cast<exchange*>(self);
        if (down + up != me.moved_) {
            me.moved_ = down + up;
            me.moved_at_ = clock::now();
        }
        me.silent_ = clock::now() - me.moved_at_ > me.call_.silence;
        me.answer_.cancelled = me.call_.go_on && !me.call_.go_on(static_cast<std::uint64_t>(down + up));
        return me.silent_ || me.answer_.cancelled ? 1 : 0;
    }

    const http_call& call_;
    curl_handle& handle_;
    curl_headers headers_;
    descriptor file_;
    http_answer answer_;
    std::uint64_t sent_ = 0;
    curl_off_t moved_ = 0;
    clock::time_point moved_at_ = clock::now();
    bool silent_ = false, too_long_ = false;
};

} // namespace

struct http_client::state {
    curl_handle handle;
};

http_client::http_client() : state_(std::make_unique<state>()) {}
http_client::~http_client() = default;

http_answer http_client::send(const http_call& call) {
    try {
        return exchange(call, state_->handle).run();
    } catch (const curl_error& problem) {
        return {.failure = problem.what()};
    }
}

bool can_talk_http() { return true; }

} // namespace petnet::net
