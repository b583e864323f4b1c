// SPDX-License-Identifier: Apache-2.0
// Requests that mean harm: damaged HTTP, bodies and photographs, bombs, senders that crawl or leave. After
// all of them the server answers, has kept nothing of them, and ends well.
#include "tests/serve/served.hpp"
#include "tests/support/long_run.hpp"

#include <algorithm>
#include <array>
#include <gmock/gmock.h>
#include <random>
#include <thread>
#include <zlib.h>

using namespace petnet::testing;
using namespace std::chrono_literals;

namespace {

using draws = std::mt19937_64;

std::size_t below(draws& draw, std::size_t end) {
    return std::uniform_int_distribution<std::size_t>(0, end - 1)(draw);
}

// gzip of `megabytes` of one byte: a thousandth of its size.
std::string zipped(std::size_t megabytes, const std::string& before = {}) {
    z_stream stream{};
    deflateInit2(&stream, 9, Z_DEFLATED, 15 + 16, 9, Z_DEFAULT_STRATEGY);
    std::string out(megabytes * 4096 + before.size() + 4096, '\0'), piece = before;
    stream.next_out = reinterpret_cast<Bytef*>(out.data());
    stream.avail_out = static_cast<uInt>(out.size());
    for (std::size_t i = 0; i <= megabytes; ++i) {
        stream.next_in = reinterpret_cast<Bytef*>(piece.data());
        stream.avail_in = static_cast<uInt>(piece.size());
        deflate(&stream, i == megabytes ? Z_FINISH : Z_NO_FLUSH);
        piece.assign(1U << 20U, '\0');
    }
    out.resize(stream.total_out);
    deflateEnd(&stream);
    return out;
}

void append_big_endian(std::string& to, std::uint32_t value) {
    for (const unsigned shift : {24U, 16U, 8U, 0U}) to += static_cast<char>(value >> shift);
}

// A PNG of the size, whose data unpack to `bytes` of zeros.
std::string png(std::uint32_t width, std::uint32_t height, std::size_t bytes) {
    std::string file = "\x89PNG\r\n\x1a\n";
    const auto chunk = [&file](const std::string& kind, const std::string& data) {
        append_big_endian(file, static_cast<std::uint32_t>(data.size()));
        file += kind + data;
        const std::string checked = kind + data;
        append_big_endian(file,
                          static_cast<std::uint32_t>(crc32(0, reinterpret_cast<const Bytef*>(checked.data()),
                                                           static_cast<uInt>(checked.size()))));
    };
    std::string header;
    append_big_endian(header, width);
    append_big_endian(header, height);
    chunk("IHDR", header + std::string("\x08\x02\0\0\0", 5));
    const std::string zeros(bytes, '\0');
    std::string data(compressBound(zeros.size()), '\0');
    uLongf size = data.size();
    compress2(reinterpret_cast<Bytef*>(data.data()), &size, reinterpret_cast<const Bytef*>(zeros.data()),
              zeros.size(), 9);
    chunk("IDAT", data.substr(0, size));
    chunk("IEND", "");
    return file;
}

std::string mutated(std::string bytes, draws& draw) {
    const std::size_t changes = 1 + below(draw, 8);
    for (std::size_t i = 0; i < changes && !bytes.empty(); ++i) {
        const std::size_t at = below(draw, bytes.size());
        switch (below(draw, 4)) {
        case 0:
            bytes[at] = static_cast<char>(below(draw, 256));
            break;
        case 1:
            bytes.resize(at);
            break;
        case 2:
            bytes.insert(at, bytes.substr(below(draw, bytes.size()), below(draw, 64)));
            break;
        default:
            bytes.erase(at, below(draw, 64));
        }
    }
    return bytes;
}

class hostility {
  public:
    explicit hostility(std::uint64_t seed) : draw_(seed) {}

    std::string next() {
        switch (below(draw_, 9)) {
        case 0:
            return http_[below(draw_, http_.size())];
        case 1: // a request with bytes changed anywhere
            return mutated(request("POST", "/score", "Content-Type: image/jpeg\r\n", photo_), draw_);
        case 2:
            return request("POST", "/score", "", mutated(photo_, draw_));
        case 3:
            return request("POST", "/score", json_type,
                           mutated(R"({"images":["Zm9v",{"file":"a","data":"Zm9v"}]})", draw_));
        case 4:
            return request("POST", "/score", form_type, mutated(form_ + photo_ + "\r\n--B--\r\n", draw_));
        case 5:
            return request("POST", "/score", "", bombs_[below(draw_, bombs_.size())]);
        case 6: // a bomb of HTTP's own: 200 MB in 200 kB
            return request("POST", "/score", "Content-Encoding: gzip\r\n", gzip_);
        case 7: // deep JSON
            return request("POST", "/score", json_type,
                           R"({"images":)" + std::string(200000, "[{"[below(draw_, 2)]));
        default: // chunks that do not add up
            return request("POST", "/score", "Transfer-Encoding: chunked\r\n") +
                   mutated("5\r\nwords\r\n3\r\nand\r\n0\r\n\r\n", draw_);
        }
    }

  private:
    static constexpr const char *json_type = "Content-Type: application/json\r\n",
                                *form_type = "Content-Type: multipart/form-data; boundary=B\r\n";
    draws draw_;
    std::string photo_ = sample_photo(), gzip_ = zipped(200);
    std::string form_ = "--B\r\nContent-Disposition: form-data; name=\"a\"; filename=\"a.jpg\"\r\n\r\n";
    std::array<std::string, 4> bombs_{png(30000, 30000, 1U << 20U), png(0xffffffff, 0xffffffff, 100),
                                      png(10000, 10000, 1U << 22U), png(1, 90'000'000, 1U << 20U)};
    std::vector<std::string> http_{
        "",
        "\r\n\r\n\r\n\r\n",
        std::string(100, '\0'),
        "GET / HTTP/9.9\r\n\r\n",
        "GET / HTTP/1.1\n\n",
        "GET /\r\n\r\n",
        "POST /score HTTP/1.1\r\nContent-Length: 5\n\r\n\r\n",
        "get / http/1.1\r\n\r\n",
        "GET /%zz%00%ff/../../etc/passwd?%%%&==&a HTTP/1.1\r\n\r\n",
        "GET /" + std::string(20000, 'a') + " HTTP/1.1\r\n\r\n",
        "GET / HTTP/1.1\r\n" + std::string(100000, 'h'),
        "GET / HTTP/1.1\r\nA: " + std::string(30000, 'h') + "\r\n\r\n",
        "GET / HTTP/1.1\r\n: :\r\n :\r\nno colon\r\n\r\n",
        "GET / HTTP/1.1\r\nRange: bytes=0-0,0-0,0-0,x\r\n\r\n",
        "\x16\x03\x01\x02 TLS to a port without",
        "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        "POST /score HTTP/1.1\r\nContent-Type: multipart/form-data\r\nContent-Length: 2\r\n\r\n--",
        "POST /score HTTP/1.1\r\nContent-Length: 18446744073709551615\r\n\r\nx",
        "POST /score HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nffffffffffffffff\r\nx",
        "POST /score HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n" + std::string(200000, '0'),
        "POST /score HTTP/1.1\r\nExpect: 100-continue\r\nContent-Length: 9\r\n\r\n"};
};

// How a request arrives: at once, in crumbs, or only its beginning.
void send(int port, const std::string& bytes, draws& draw) {
    raw_client client(port);
    switch (below(draw, 4)) {
    case 0:
        for (std::size_t at = 0; at < std::min<std::size_t>(bytes.size(), 30); ++at) {
            if (!client.send(bytes.substr(at, 1))) return;
            std::this_thread::sleep_for(1ms);
        }
        return;
    case 1:
        (void)client.send(bytes.substr(0, below(draw, bytes.size() + 1)));
        return;
    default:
        if (client.send(bytes)) (void)client.read(2s);
    }
}

TEST(serve, hostile_requests) {
    const std::size_t count = long_run() ? 1000 : 100, senders = 8;
    served server({"--timeout", "1", "--max-body", "8"}, {.limit = std::chrono::seconds(60 + count)});
    const http_response before = server.ask(request("POST", "/score", "", sample_photo()));
    ASSERT_EQ(before.status, 200);

    std::vector<std::jthread> attackers;
    for (std::size_t i = 0; i < senders; ++i)
        attackers.emplace_back([&, i] {
            draws draw(i + 1);
            hostility hostile(i + 100);
            for (std::size_t sent = i; sent < count; sent += senders)
                send(server.port(), hostile.next(), draw);
        });
    attackers.clear();

    EXPECT_EQ(server.ask(request("POST", "/score", "", sample_photo())).body, before.body);
    // What was half sent is over once its time is.
    const bool forgotten =
        server.process().wait_until([&] { return server.metric("petnet_queue_photographs") == 0; });
    EXPECT_TRUE(forgotten);
    const outcome end = server.stop();
    EXPECT_EQ(end.code, 0); // with a leak found, a sanitizer's build would end otherwise
    EXPECT_EQ(end.err, "");
    // The program with its model, and what decoding may take at once (data::max_decode_bytes).
    expect_peak_below(end, 700);
}

} // namespace
