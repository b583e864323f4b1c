// SPDX-License-Identifier: Apache-2.0
// cpp-httplib reads requests and writes answers; connections, threads, times and sizes are looked after here,
// as its own limits bound neither a line, nor the number of headers, nor the time that a slow sender takes
// altogether.
#include "serve/http_server.hpp"

#include "base/errors.hpp"
#include "serve/socket_stream.hpp"
#include "serve/words.hpp"

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <condition_variable>
#include <cstring>
#include <deque>
#include <httplib.h>
#include <mutex>
#include <string_view>
#include <thread>

namespace petnet::serve {
namespace {

using clock = socket_stream::clock;

// What all connections share.
struct shared {
    http_limits limits;
    http_server::callbacks use;
    std::atomic<bool> winding_down = false;
    std::atomic<bool> crowded = false; // more connections than threads
};

class stream_adapter final : public httplib::Stream {
  public:
    explicit stream_adapter(socket_stream& bytes) : bytes_(bytes) {}
    [[nodiscard]] bool is_readable() const override { return true; }
    [[nodiscard]] bool is_writable() const override { return true; }
    ssize_t read(char* to, std::size_t size) override { return bytes_.read(to, size); }
    ssize_t write(const char* from, std::size_t size) override {
        bytes_.write({from, size});
        return static_cast<ssize_t>(size);
    }
    void get_remote_ip_and_port(std::string& /*ip*/, int& /*port*/) const override {}
    void get_local_ip_and_port(std::string& /*ip*/, int& /*port*/) const override {}
    [[nodiscard]] socket_t socket() const override { return bytes_.fd(); }

  private:
    socket_stream& bytes_;
};

// Serves one connection after another on its thread; a Server of its own, as cpp-httplib's handlers are given
// nothing to tell connections apart by.
class connection final : private httplib::Server, private http_request {
  public:
    explicit connection(shared& all) : all_(all) {
        // A body goes to the first handler, which is asked with the path that prepare() puts there; the rest
        // to the second.
        Post(one_path, [this](const httplib::Request&, httplib::Response& response,
                              const httplib::ContentReader& reader) {
            reader_ = &reader;
            answer(response);
            reader_ = nullptr;
        });
        set_pre_routing_handler([this](const httplib::Request& request, httplib::Response& response) {
            if (request.method == "POST") return HandlerResponse::Unhandled;
            answer(response);
            return HandlerResponse::Handled;
        });
        set_post_routing_handler([this](const httplib::Request&, httplib::Response& response) {
            if (!head_understood_) refuse_head(response);
            if (all_.winding_down || body_unread_) last_ = true;
            response.headers.erase("Keep-Alive"); // says the library's limits
            response.headers.erase("Connection");
            if (last_) response.set_header("Connection", "close");
            response.set_header("X-Content-Type-Options", "nosniff");
            all_.use.on_answered(response.status);
        });
    }

    void serve(descriptor socket) {
        socket_stream bytes(std::move(socket));
        bytes_ = &bytes;
        stream_adapter stream(bytes);
        std::chrono::milliseconds idle = all_.limits.request_time; // for the first
        const auto give_up = [this, &first = std::as_const(idle)] {
            return all_.winding_down || (all_.crowded && first == all_.limits.idle_time);
        };
        for (last_ = false; !last_ && bytes.wait_for_bytes(idle, give_up);) {
            idle = all_.limits.idle_time;
            switch (bytes.read_head(deadline())) {
            case head_outcome::closed:
                return;
            case head_outcome::slow:
                answer_unread("408 Request Timeout", 408);
                break;
            case head_outcome::too_large:
                answer_unread("431 Request Header Fields Too Large", 431);
                break;
            case head_outcome::complete:
                head_understood_ = body_unread_ = false;
                bool closed = false;
                if (!process(*this, stream, closed) || closed) last_ = true;
            }
            if (!bytes.flush(deadline())) return;
        }
        bytes.close_gently();
    }

  private:
    static constexpr const char* one_path = "/";
    // Where Content-Type goes while cpp-httplib reads a body: it would take multipart/form-data apart itself.
    static constexpr const char* set_aside = "Petnet-Content-Type";

    [[nodiscard]] clock::time_point deadline() const { return clock::now() + all_.limits.request_time; }

    template <class Self> static bool process(Self& self, httplib::Stream& stream, bool& closed) {
        const auto prepare = [&self](httplib::Request& request) { self.prepare(request); };
        if constexpr (requires { self.process_request(stream, false, closed, prepare); })
            return self.process_request(stream, false, closed, prepare);
        else // cpp-httplib from 0.18 on wants to be told the addresses
            return self.process_request(stream, {}, 0, {}, 0, false, closed, prepare);
    }

    // A head has been understood.
    void prepare(httplib::Request& request) {
        head_understood_ = true;
        request_ = &request;
        path_ = request.path;
        method_ = request.method;
        expects_ = same_word(header("Expect"), "100-continue");
        body_unread_ = chunked() || (request.has_header("Content-Length") && declared_bytes() != 0U);
        if (same_word(header("Connection"), "close")) last_ = true;
        // No ranges, compression or continuation by the library, which leaves what they cost to the client.
        for (const char* name : {"Expect", "Accept-Encoding", "Range"}) request.headers.erase(name);
        request.ranges.clear();
        request.path = one_path;
        if (request.method == "POST" && request.has_header("Content-Type")) {
            const std::string type = header("Content-Type");
            request.headers.erase("Content-Type");
            request.headers.emplace(set_aside, type);
        }
    }

    void answer(httplib::Response& response) {
        http_answer given;
        if (const char* wrong = framing_problem(); wrong != nullptr) {
            given = {.status = 400, .body = std::string(R"({"error": ")") + wrong + "\"}\n"};
            last_ = true;
        } else {
            try {
                given = all_.use.answer(*this);
            } catch (const std::exception&) { // what is known to fail has been answered by then
                given = {.status = 500, .body = "{\"error\": \"petnet failed to answer this request\"}\n"};
                last_ = true;
            }
        }
        response.status = given.status;
        for (const auto& [name, value] : given.headers) response.headers.emplace(name, value);
        response.set_content(given.body, given.type);
    }

    // Why it is not sure where the body ends; whoever sits between could see another end (request smuggling).
    [[nodiscard]] const char* framing_problem() const {
        const std::size_t lengths = request_->get_header_value_count("Content-Length");
        const std::size_t codings = request_->get_header_value_count("Transfer-Encoding");
        if (lengths + codings > 1) return "more than one Content-Length or Transfer-Encoding";
        if (codings == 1 && !chunked()) return "the only Transfer-Encoding understood is chunked";
        if (lengths == 0) return nullptr;
        const std::string value = header("Content-Length");
        const bool digits = std::ranges::all_of(value, [](char c) { return c >= '0' && c <= '9'; });
        return value.empty() || value.size() > 18 || !digits ? "Content-Length is no number" : nullptr;
    }

    // Of a head that cpp-httplib did not understand. What follows cannot be told from it.
    void refuse_head(httplib::Response& response) {
        last_ = true;
        const bool long_url = response.status == 414;
        if (!long_url) response.status = 400;
        response.headers.erase("Content-Length");
        response.headers.erase("Content-Type");
        const std::string body =
            long_url ? "{\"error\": \"the URL is too long\"}\n" : "{\"error\": \"this is no HTTP/1.1\"}\n";
        response.set_header("Content-Length", std::to_string(body.size()));
        response.set_header("Content-Type", "application/json");
        response.body = body;
    }

    void answer_unread(const char* status, int code) {
        last_ = true;
        all_.use.on_answered(code);
        bytes_->write(std::string("HTTP/1.1 ") + status +
                      "\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
    }

    [[nodiscard]] bool chunked() const { return same_word(header("Transfer-Encoding"), "chunked"); }

    [[nodiscard]] const std::string& method() const override { return method_; }
    [[nodiscard]] const std::string& path() const override { return path_; }
    [[nodiscard]] std::string header(const std::string& name) const override {
        if (same_word(name, "Content-Type") && request_->has_header(set_aside))
            return request_->get_header_value(set_aside);
        return request_->get_header_value(name);
    }
    [[nodiscard]] std::optional<std::size_t> declared_bytes() const override {
        if (chunked()) return {};
        return std::strtoull(header("Content-Length").c_str(), nullptr, 10);
    }

    body_outcome read_body(std::size_t limit, std::string& body) override {
        body.clear();
        if (declared_bytes() == 0U) return body_outcome::complete;
        if (declared_bytes().value_or(0) > limit) return body_outcome::too_large;
        if (expects_) {
            bytes_->write("HTTP/1.1 100 Continue\r\n\r\n");
            if (!bytes_->flush(deadline())) return body_outcome::broken;
        }
        // The lines of small chunks may take as much again as what they carry.
        constexpr std::size_t lines = 64 * 1024;
        bytes_->open_body(deadline(), declared_bytes().value_or(2 * limit + lines));
        body.reserve(declared_bytes().value_or(0));
        bool fits = true;
        const bool whole = (*reader_)([&](const char* data, std::size_t size) {
            fits = size <= limit - body.size();
            if (fits) body.append(data, size);
            return fits;
        });
        if (!fits) return body_outcome::too_large;
        if (bytes_->deadline_passed()) return body_outcome::slow;
        if (!whole) return body_outcome::broken;
        body_unread_ = false;
        return body_outcome::complete;
    }

    shared& all_;
    socket_stream* bytes_ = nullptr;
    const httplib::ContentReader* reader_ = nullptr; // of the body, while it may be read
    const httplib::Request* request_ = nullptr;
    std::string method_, path_;
    bool head_understood_ = false, expects_ = false, body_unread_ = false;
    bool last_ = false; // the connection ends with this answer
};

// As many threads as connections come at once, and no more than the limit; as many more wait in line.
class connection_threads {
  public:
    explicit connection_threads(shared& all) : all_(all) {}
    ~connection_threads() { finish(); }
    connection_threads(const connection_threads&) = delete; // its threads know its address
    connection_threads& operator=(const connection_threads&) = delete;

    void take(descriptor socket) {
        const std::lock_guard lock(mutex_);
        if (serving_ + sockets_.size() >= 2 * all_.limits.connections) return; // closed at once
        sockets_.push_back(std::move(socket));
        if (serving_ + sockets_.size() > threads_.size() && threads_.size() < all_.limits.connections) {
            try {
                threads_.emplace_back([this] { work(); });
            } catch (const std::system_error&) { // no more threads: those that are there will come to it
                if (threads_.empty()) throw;
            }
        }
        all_.crowded = serving_ + sockets_.size() > all_.limits.connections;
        changed_.notify_one();
    }

    void finish() {
        {
            const std::lock_guard lock(mutex_);
            finished_ = true;
        }
        changed_.notify_all();
        threads_.clear(); // joins them
    }

  private:
    void work() {
        connection one(all_);
        std::unique_lock lock(mutex_);
        for (;;) {
            changed_.wait(lock, [this] { return finished_ || !sockets_.empty(); });
            if (sockets_.empty()) return;
            descriptor socket = std::move(sockets_.front());
            sockets_.pop_front();
            ++serving_;
            lock.unlock();
            one.serve(std::move(socket));
            lock.lock();
            --serving_;
            all_.crowded = serving_ + sockets_.size() > all_.limits.connections;
        }
    }

    shared& all_;
    std::mutex mutex_;
    std::condition_variable changed_;
    std::deque<descriptor> sockets_;
    std::size_t serving_ = 0; // threads that have a connection
    bool finished_ = false;
    std::vector<std::jthread> threads_;
};

// Hands accepted sockets on, in the listener's own thread.
class at_once final : public httplib::TaskQueue {
  public:
    // void or bool by the version of cpp-httplib.
    using enqueued = decltype(std::declval<httplib::TaskQueue&>().enqueue(std::function<void()>()));
    enqueued enqueue(std::function<void()> task) override {
        task();
        return static_cast<enqueued>(true);
    }
    void shutdown() override {}
};

class listener final : public httplib::Server {
  public:
    explicit listener(connection_threads& threads) : threads_(threads) {
        new_task_queue = [] { return new at_once; };
        set_tcp_nodelay(true); // accepted sockets inherit it
        // Its default, SO_REUSEPORT, lets two servers share a port without knowing of each other.
        set_socket_options([](socket_t socket) {
            const int yes = 1;
            ::setsockopt(socket, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes);
        });
    }

    // cpp-httplib lets five connections wait to be accepted; when more come at once, some would be reset.
    void lengthen_backlog() { ::listen(svr_sock_, SOMAXCONN); }

  private:
    bool process_and_close_socket(socket_t socket) override {
        threads_.take(descriptor(socket));
        return true;
    }
    connection_threads& threads_;
};

} // namespace

struct http_server::state {
    state(const http_limits& limits, callbacks use)
        : all{limits, std::move(use)}, threads(all), listening(threads) {}

    shared all;
    connection_threads threads;
    listener listening;
    int port = 0;
    std::jthread accepting;
};

http_server::http_server(const std::string& host, int port, const http_limits& limits, callbacks use)
    : state_(std::make_unique<state>(limits, std::move(use))) {
    errno = 0;
    listener& listening = state_->listening;
    state_->port = port == 0                            ? listening.bind_to_any_port(host)
                   : listening.bind_to_port(host, port) ? port
                                                        : -1;
    if (state_->port > 0) {
        listening.lengthen_backlog();
        return;
    }
    const int reason = errno; // of bind, where it came to that
    const std::string place = host + ", port " + std::to_string(port);
    if (reason == EADDRINUSE)
        throw environment_error("cannot listen on " + place + ": another program does already (--port)");
    throw environment_error("cannot listen on " + place + ": " +
                            (reason == 0 ? "no such address on this machine" : std::strerror(reason)));
}

http_server::~http_server() { stop(); }

int http_server::port() const { return state_->port; }

void http_server::start() {
    state_->accepting = std::jthread([this] { state_->listening.listen_after_bind(); });
    while (!state_->listening.is_running()) std::this_thread::yield(); // before, stop() would do nothing
}

void http_server::wind_down() { state_->all.winding_down = true; }

void http_server::stop() {
    wind_down();
    if (state_->accepting.joinable()) {
        state_->listening.stop();
        state_->accepting.join();
    }
    state_->threads.finish();
}

} // namespace petnet::serve
