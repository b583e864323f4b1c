// SPDX-License-Identifier: Apache-2.0
#include "tests/support/http_server.hpp"

#include "base/descriptor.hpp"

#include <algorithm>
#include <arpa/inet.h>
#include <atomic>
#include <cctype>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <list>
#include <mutex>
#include <netinet/in.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <poll.h>
#include <stdexcept>
#include <sys/socket.h>
#include <thread>
#include <unistd.h>

namespace petnet::testing {
namespace {

template <auto function> struct freed_by {
    template <class Value> void operator()(Value* value) const { function(value); }
};
using tls_context = std::unique_ptr<SSL_CTX, freed_by<SSL_CTX_free>>;
using tls_session = std::unique_ptr<SSL, freed_by<SSL_free>>;

// A key and a certificate of its own for 127.0.0.1; the certificate goes to `file`.
tls_context make_tls(const std::filesystem::path& file) {
    const std::unique_ptr<EVP_PKEY, freed_by<EVP_PKEY_free>> key(EVP_EC_gen("P-256"));
    const std::unique_ptr<X509, freed_by<X509_free>> certificate(X509_new());
    X509_set_version(certificate.get(), X509_VERSION_3);
    ASN1_INTEGER_set(X509_get_serialNumber(certificate.get()), 1);
    constexpr long day = 24 * 60 * 60;
    X509_gmtime_adj(X509_getm_notBefore(certificate.get()), -day);
    X509_gmtime_adj(X509_getm_notAfter(certificate.get()), day);
    X509_NAME* name = X509_get_subject_name(certificate.get());
    X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_ASC, reinterpret_cast<const unsigned char*>("test"), -1,
                               -1, 0);
    X509_set_issuer_name(certificate.get(), name);
    X509_set_pubkey(certificate.get(), key.get());
    const std::unique_ptr<X509_EXTENSION, freed_by<X509_EXTENSION_free>> address(
        X509V3_EXT_conf_nid(nullptr, nullptr, NID_subject_alt_name, "IP:127.0.0.1"));
    X509_add_ext(certificate.get(), address.get(), -1);
    X509_sign(certificate.get(), key.get(), EVP_sha256());
    std::FILE* pem = std::fopen(file.c_str(), "w");
    if (pem == nullptr || PEM_write_X509(pem, certificate.get()) != 1)
        throw std::runtime_error("no certificate");
    std::fclose(pem);
    tls_context context(SSL_CTX_new(TLS_server_method()));
    if (SSL_CTX_use_certificate(context.get(), certificate.get()) != 1 ||
        SSL_CTX_use_PrivateKey(context.get(), key.get()) != 1)
        throw std::runtime_error("no TLS");
    return context;
}

class connection final : public http_connection {
  public:
    connection(int socket, SSL_CTX* tls) : socket_(socket) {
        if (tls == nullptr) return;
        session_.reset(SSL_new(tls));
        SSL_set_fd(session_.get(), socket_.get());
        usable_ = SSL_accept(session_.get()) == 1;
    }
    ~connection() override {
        if (session_ != nullptr && usable_) SSL_shutdown(session_.get());
        ::shutdown(socket_.get(), SHUT_WR);
    }

    void send(std::string_view bytes) override {
        while (usable_ && !bytes.empty()) {
            const std::size_t most = std::min<std::size_t>(bytes.size(), 1 << 16);
            const ssize_t sent = session_ == nullptr
                                     ? ::send(socket_.get(), bytes.data(), most, MSG_NOSIGNAL)
                                     : SSL_write(session_.get(), bytes.data(), static_cast<int>(most));
            if (sent <= 0)
                usable_ = false;
            else
                bytes.remove_prefix(static_cast<std::size_t>(sent));
        }
    }

    void stall(std::chrono::milliseconds at_most) override {
        pollfd watched{socket_.get(), POLLIN | POLLRDHUP, 0};
        ::poll(&watched, 1, static_cast<int>(at_most.count()));
    }

    void reset() override {
        const linger none{1, 0};
        ::setsockopt(socket_.get(), SOL_SOCKET, SO_LINGER, &none, sizeof none);
        usable_ = false;
        static_cast<void>(socket_.close());
    }

    // With the empty line behind it, and what of the body came along; empty where the other side left.
    [[nodiscard]] std::string read_head() {
        std::string head;
        while (head.find("\r\n\r\n") == std::string::npos)
            if (!read_more(head)) return {};
        return head;
    }
    // Until `body` has `size` bytes; whether it came to that.
    [[nodiscard]] bool read_body(std::string& body, std::size_t size) {
        while (body.size() < size)
            if (!read_more(body)) return false;
        return true;
    }
    void leave() const { ::shutdown(socket_.get(), SHUT_RDWR); }

  private:
    bool read_more(std::string& text) {
        char buffer[1 << 16];
        const int most = sizeof buffer;
        const ssize_t got = !usable_              ? 0
                            : session_ == nullptr ? ::recv(socket_.get(), buffer, most, 0)
                                                  : SSL_read(session_.get(), buffer, most);
        if (got > 0) text.append(buffer, static_cast<std::size_t>(got));
        return got > 0;
    }

    descriptor socket_;
    tls_session session_;
    bool usable_ = true;
};

http_request parse(const std::string& head) {
    http_request request;
    request.method = head.substr(0, head.find(' '));
    request.target = head.substr(head.find(' ') + 1);
    request.target.resize(request.target.find(' '));
    std::size_t at = head.find("\r\n") + 2;
    for (std::size_t end = 0; (end = head.find("\r\n", at)) != at && end != std::string::npos; at = end + 2) {
        const std::size_t colon = head.find(':', at);
        std::string name = head.substr(at, colon - at);
        std::ranges::transform(name, name.begin(),
                               [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
        request.headers[name] = head.substr(colon + 2, end - colon - 2);
    }
    return request;
}

sockaddr_in local_address() {
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    return address;
}

int bind_somewhere(int socket) {
    sockaddr_in address = local_address();
    socklen_t size = sizeof address;
    if (::bind(socket, reinterpret_cast<sockaddr*>(&address), size) != 0 ||
        ::getsockname(socket, reinterpret_cast<sockaddr*>(&address), &size) != 0)
        throw std::runtime_error("no port for a test's server");
    return ntohs(address.sin_port);
}

int new_socket() { return ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0); }

} // namespace

std::string http_request::header(const std::string& name) const {
    const auto found = headers.find(name);
    return found == headers.end() ? "" : found->second;
}

std::size_t http_request::from() const {
    const std::string range = header("range"); // "bytes=123-"
    return range.empty() ? 0 : std::stoul(range.substr(range.find('=') + 1));
}

void send_answer(http_connection& connection, const std::string& status, const std::string& headers,
                 std::string_view body) {
    connection.send("HTTP/1.1 " + status + "\r\nContent-Length: " + std::to_string(body.size()) +
                    "\r\nConnection: close\r\n" + headers + "\r\n");
    connection.send(body);
}

void served_file::send(const http_request& request, http_connection& connection, std::size_t most) const {
    const std::string condition = request.header("if-range");
    const bool same = condition.empty() || condition == etag || condition == last_modified;
    const std::size_t from = same ? request.from() : 0;
    if (from > content.size())
        return send_answer(connection, "416 Range Not Satisfiable",
                           "Content-Range: bytes */" + std::to_string(content.size()) + "\r\n");
    const std::string size = std::to_string(content.size());
    std::string head = from == 0
                           ? "HTTP/1.1 200 OK\r\n"
                           : "HTTP/1.1 206 Partial Content\r\nContent-Range: bytes " + std::to_string(from) +
                                 "-" + std::to_string(content.size() - 1) + "/" + size + "\r\n";
    if (!etag.empty()) head += "ETag: " + etag + "\r\n";
    if (!last_modified.empty()) head += "Last-Modified: " + last_modified + "\r\n";
    connection.send(head + "Content-Type: " + type + "\r\nContent-Length: " +
                    std::to_string(content.size() - from) + "\r\nConnection: close\r\n\r\n");
    connection.send(std::string_view(content).substr(from, most));
}

struct http_server::state {
    handler answer;
    tls_context tls;
    descriptor socket{new_socket()};
    int port = bind_somewhere(socket.get());
    mutable std::mutex mutex;
    std::vector<http_request> requests;
    std::list<connection*> open;
    std::atomic<bool> ending = false;
    std::vector<std::thread> threads; // of connections, and last the one that accepts
    std::thread accepting;

    void serve(int accepted) {
        connection here(accepted, tls.get());
        {
            const std::lock_guard lock(mutex);
            open.push_back(&here);
        }
        if (const std::string head = here.read_head(); !head.empty() && !ending) {
            http_request request = parse(head);
            request.body = head.substr(head.find("\r\n\r\n") + 4);
            const std::string size = request.header("content-length");
            if (!size.empty() && !here.read_body(request.body, std::stoul(size))) request.body.clear();
            {
                const std::lock_guard lock(mutex);
                request.number = requests.size();
                requests.push_back(request);
            }
            answer(request, here);
        }
        const std::lock_guard lock(mutex);
        open.remove(&here);
    }

    void accept_all() {
        for (;;) {
            const int accepted = ::accept4(socket.get(), nullptr, nullptr, SOCK_CLOEXEC);
            if (accepted < 0) return;
            threads.emplace_back([this, accepted] { serve(accepted); });
        }
    }
};

http_server::http_server(handler answer, const std::filesystem::path& https_folder)
    : state_(std::make_unique<state>()) {
    std::signal(SIGPIPE, SIG_IGN); // OpenSSL writes without MSG_NOSIGNAL
    // Tests of this machine's server must not ask a proxy; those of proxies say so themselves.
    ::setenv("no_proxy", "127.0.0.1", 1);
    state_->answer = std::move(answer);
    if (!https_folder.empty()) state_->tls = make_tls(https_folder / "certificate.pem");
    if (::listen(state_->socket.get(), 16) != 0) throw std::runtime_error("cannot listen");
    state_->accepting = std::thread([this] { state_->accept_all(); });
}

http_server::~http_server() {
    state_->ending = true;
    ::shutdown(state_->socket.get(), SHUT_RDWR);
    state_->accepting.join();
    {
        const std::lock_guard lock(state_->mutex);
        for (const connection* each : state_->open) each->leave();
    }
    for (std::thread& thread : state_->threads) thread.join();
}

std::string http_server::url(const std::string& target) const {
    return (state_->tls == nullptr ? "http" : "https") + std::string("://127.0.0.1:") +
           std::to_string(state_->port) + target;
}

std::vector<http_request> http_server::requests() const {
    const std::lock_guard lock(state_->mutex);
    return state_->requests;
}

std::string url_of_nobody(const std::string& target) {
    ::setenv("no_proxy", "127.0.0.1", 1);
    static std::mutex mutex;
    static std::vector<descriptor> held; // to the end of the process: nobody else is given their ports
    const std::lock_guard lock(mutex);
    held.emplace_back(new_socket());
    return "http://127.0.0.1:" + std::to_string(bind_somewhere(held.back().get())) + target;
}

} // namespace petnet::testing
