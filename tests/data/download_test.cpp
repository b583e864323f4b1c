// SPDX-License-Identifier: Apache-2.0
// Downloads from a server of ours that behaves as the network does on its worst days.
#include "data/download.hpp"

#include "data/part_file.hpp"
#include "net/url.hpp"
#include "tests/data/test_folder.hpp"
#include "tests/support/disk_calls.hpp"
#include "tests/support/http_server.hpp"

#include <csignal>
#include <cstdlib>
#include <sys/resource.h>

using namespace petnet;
using namespace petnet::data;
using namespace petnet::testing;
using namespace std::chrono_literals;

namespace {

constexpr std::size_t file_bytes = 300'000;

std::string content(char seed, std::size_t size = file_bytes) {
    std::string text(size, '\0');
    for (std::size_t i = 0; i < size; ++i) text[i] = static_cast<char>(seed + static_cast<char>(i * i % 101));
    return text;
}

class download : public ::testing::Test {
  protected:
    [[nodiscard]] std::filesystem::path part() const { return folder_.path() / "file.part"; }
    [[nodiscard]] std::string downloaded() const {
        if (!std::filesystem::exists(part())) return "";
        const mapped_file file(part());
        return {reinterpret_cast<const char*>(file.bytes().data()), file.bytes().size()};
    }
    [[nodiscard]] download_request request(const std::string& url) const {
        return {
            .url = url,
            .part = part(),
            .most_bytes = 1'000'000,
            .patience = {.attempts = 3, .first_wait = 1ms, .longest_wait = 20ms, .connect = 5s, .stall = 1s}};
    }
    void get(const std::string& url) { data::download(request(url), listener_); }
    std::string error_of(const std::string& url) {
        return test::message_of<download_error>([&] { get(url); });
    }

    test::temporary_folder folder_;
    std::vector<std::string> notes_;
    work_listener listener_{.on_note = [this](const std::string& line) { notes_.push_back(line); }};
    const served_file file_{.content = content('a')};
};

TEST_F(download, brings_the_file_once) {
    http_server server([&](const auto& request, auto& connection) { file_.send(request, connection); });
    (void)test::disk_calls();
    get(server.url("/file"));
    EXPECT_TRUE(downloaded() == file_.content);
    EXPECT_THAT(test::disk_calls(), ::testing::Contains("fsync file.part"));
    get(server.url("/file"));
    EXPECT_EQ(server.requests().size(), 1U) << "what is whole needs no request";
    discard_part(part());
    EXPECT_TRUE(std::filesystem::is_empty(folder_.path()));
}

TEST_F(download, of_nothing_and_of_unknown_length) {
    http_server server([&](const auto& request, auto& connection) {
        if (request.target == "/empty") return send_answer(connection, "200 OK");
        connection.send("HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n" + file_.content);
    });
    get(server.url("/long"));
    EXPECT_TRUE(downloaded() == file_.content);
    get(server.url("/long"));
    EXPECT_EQ(server.requests().size(), 1U);
    get(server.url("/empty"));
    EXPECT_EQ(downloaded(), "");
}

TEST_F(download, continues_after_a_lost_connection) {
    http_server server([&](const auto& request, auto& connection) {
        if (request.number < 2) file_.send(request, connection, 100'000);
        if (request.number == 1) connection.reset();
        if (request.number == 2) file_.send(request, connection);
    });
    get(server.url("/file"));
    EXPECT_TRUE(downloaded() == file_.content);
    const auto requests = server.requests();
    ASSERT_EQ(requests.size(), 3U);
    EXPECT_EQ(requests[0].header("range"), "");
    EXPECT_EQ(requests[1].header("range"), "bytes=100000-");
    EXPECT_EQ(requests[1].header("if-range"), "\"first\"");
    EXPECT_GE(requests[2].from(), 100'000U);
    EXPECT_TRUE(
        std::ranges::any_of(notes_, [](const auto& line) { return line.find("trying again") != line.npos; }));
}

TEST_F(download, continues_a_part_of_an_earlier_call_by_its_date) {
    served_file dated = file_;
    dated.etag = "W/\"weak\"";
    dated.last_modified = "Wed, 01 Jul 2020 10:00:00 GMT";
    http_server server([&](const auto& request, auto& connection) {
        dated.send(request, connection, request.number < 3 ? 1000 : file_bytes);
    });
    EXPECT_NE(error_of(server.url("/file")).find("too early"), std::string::npos);
    EXPECT_EQ(downloaded().size(), 3000U);
    get(server.url("/file"));
    EXPECT_TRUE(downloaded() == file_.content);
    EXPECT_EQ(server.requests().back().header("if-range"), dated.last_modified);
}

TEST_F(download, gives_up_a_stalled_connection) {
    http_server server([&](const auto& request, auto& connection) {
        file_.send(request, connection, request.number == 0 ? 100'000 : file_bytes);
        if (request.number == 0) connection.stall(30s);
    });
    const auto begun = std::chrono::steady_clock::now();
    get(server.url("/file"));
    EXPECT_LT(std::chrono::steady_clock::now() - begun, 15s) << "the server ended it";
    EXPECT_TRUE(downloaded() == file_.content);
    EXPECT_EQ(server.requests().back().from(), 100'000U);
}

TEST_F(download, begins_anew_where_ranges_are_ignored) {
    http_server server([&](http_request request, auto& connection) {
        request.headers.erase("range");
        file_.send(request, connection, request.number == 0 ? 100'000 : file_bytes);
    });
    get(server.url("/file"));
    EXPECT_TRUE(downloaded() == file_.content);
    EXPECT_EQ(server.requests()[1].from(), 100'000U);
}

TEST_F(download, never_continues_what_nothing_identifies) {
    served_file anonymous = file_;
    anonymous.etag.clear();
    http_server server([&](const auto& request, auto& connection) {
        anonymous.send(request, connection, request.number == 0 ? 100'000 : file_bytes);
    });
    get(server.url("/file"));
    EXPECT_TRUE(downloaded() == file_.content);
    EXPECT_EQ(server.requests()[1].header("range"), "");
}

// The second file under the same URL: what a good server answers, and what others do.
TEST_F(download, notices_a_file_that_changed_between_ranges) {
    served_file other{.content = content('k', 250'000), .etag = "\"second\""};
    for (const std::string how : {"honest", "another etag", "another size", "another place", "too long"}) {
        http_server server([&](http_request request, auto& connection) {
            if (request.number == 0) return file_.send(request, connection, 100'000);
            if (how == "honest" || request.number > 1) return other.send(request, connection);
            served_file liar = other;
            request.headers.erase("if-range");
            if (how != "another etag") liar.etag = file_.etag;
            if (how == "another place") request.headers["range"] = "bytes=5-";
            if (how == "another place" || how == "too long") liar.content = content('k');
            if (how != "too long") return liar.send(request, connection);
            connection.send("HTTP/1.1 206 Partial Content\r\nContent-Range: bytes 100000-299999/300000\r\n"
                            "Connection: close\r\n\r\n" +
                            std::string(400'000, 'x'));
        });
        get(server.url("/file"));
        EXPECT_TRUE(downloaded() == other.content) << how;
        discard_part(part());
    }
}

TEST_F(download, begins_anew_where_the_file_became_shorter) {
    served_file shorter{.content = content('k', 50'000)};
    http_server server([&](const auto& request, auto& connection) {
        request.number == 0 ? file_.send(request, connection, 100'000) : shorter.send(request, connection);
    });
    get(server.url("/file"));
    EXPECT_TRUE(downloaded() == shorter.content);
}

TEST_F(download, gives_up_a_file_that_changes_again_and_again) {
    http_server server([&](http_request request, auto& connection) {
        served_file changing = file_;
        changing.etag = "\"" + std::to_string(request.number) + "\"";
        request.headers.erase("if-range");
        changing.send(request, connection, 70'000);
    });
    EXPECT_NE(error_of(server.url("/file")).find("changes again and again"), std::string::npos);
    EXPECT_LT(server.requests().size(), 12U);
}

TEST_F(download, follows_five_redirects) {
    http_server server([&](const auto& request, auto& connection) {
        const int left = request.target[1] - '0';
        if (left == 0) return file_.send(request, connection);
        send_answer(connection, "302 Found", "Location: /" + std::to_string(left - 1) + "\r\n",
                    "<html>moved");
    });
    get(server.url("/5"));
    EXPECT_TRUE(downloaded() == file_.content);
    EXPECT_NE(error_of(server.url("/6")).find("redirected more than 5 times"), std::string::npos);
    EXPECT_EQ(server.requests().size(), 12U) << "another attempt would end the same way";
}

TEST_F(download, refuses_redirects_to_other_protocols) {
    const auto secret = folder_.write("secret", "here");
    http_server server([&](const auto&, auto& connection) {
        send_answer(connection, "302 Found", "Location: file://" + secret.string() + "\r\n");
    });
    EXPECT_NE(error_of(server.url("/file")).find("neither http nor https"), std::string::npos);
    EXPECT_EQ(server.requests().size(), 1U);
}

TEST_F(download, asks_once_for_what_is_not_there) {
    http_server server([](const auto& request, auto& connection) {
        send_answer(connection, request.target == "/none" ? "404 Not Found" : "403 Forbidden", "", "<html>");
    });
    EXPECT_NE(error_of(server.url("/none")).find("404 (there is no such file)"), std::string::npos);
    EXPECT_NE(error_of(server.url("/closed")).find("403"), std::string::npos);
    EXPECT_EQ(server.requests().size(), 2U);
    EXPECT_EQ(downloaded(), "") << "a page about an error is no part of the file";
}

TEST_F(download, asks_again_where_the_server_is_busy) {
    for (const char* status :
         {"429 Too Many Requests", "500 Internal Server Error", "503 Service Unavailable"}) {
        http_server server([&](const auto& request, auto& connection) {
            // Longer than the longest wait of these tests.
            if (request.number < 2 || request.target == "/never")
                send_answer(connection, status, "Retry-After: 3000\r\n", "busy");
            else
                file_.send(request, connection);
        });
        get(server.url("/file"));
        EXPECT_TRUE(downloaded() == file_.content);
        EXPECT_EQ(server.requests().size(), 3U);
        EXPECT_NE(error_of(server.url("/never")).find(std::string(status, 3)), std::string::npos);
        EXPECT_EQ(server.requests().size(), 6U);
    }
}

TEST_F(download, waits_as_long_as_it_is_asked_to) {
    http_server server([&](const auto& request, auto& connection) {
        request.number == 0 ? send_answer(connection, "503 Service Unavailable", "Retry-After: 1\r\n")
                            : file_.send(request, connection);
    });
    download_request patient = request(server.url("/file"));
    patient.patience.longest_wait = 10s;
    const auto begun = std::chrono::steady_clock::now();
    data::download(patient, listener_);
    EXPECT_GE(std::chrono::steady_clock::now() - begun, 1s);
}

TEST_F(download, names_a_web_page_as_such) {
    http_server server([](const auto& request, auto& connection) {
        const std::string type = request.target == "/type" ? "text/html; charset=utf-8" : "application/gzip";
        send_answer(connection, "200 OK", "Content-Type: " + type + "\r\n",
                    "\r\n <!DOCTYPE HTML><html>Log in");
    });
    for (const char* target : {"/type", "/content"})
        EXPECT_NE(error_of(server.url(target)).find("a web page (HTML) came instead"), std::string::npos);
    EXPECT_EQ(server.requests().size(), 2U);
    EXPECT_EQ(downloaded(), "");
}

TEST_F(download, takes_no_more_than_is_expected) {
    http_server server([](const auto& request, auto& connection) {
        if (request.target == "/told")
            return send_answer(connection, "200 OK", "", std::string(1'000'001, 'x'));
        connection.send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n");
        for (int i = 0; i < 200; ++i) connection.send("10000\r\n" + std::string(0x10000, 'x') + "\r\n");
    });
    EXPECT_NE(error_of(server.url("/told")).find("at most 1000000"), std::string::npos);
    EXPECT_EQ(downloaded(), "");
    EXPECT_NE(error_of(server.url("/endless")).find("at most 1000000"), std::string::npos);
    EXPECT_LE(downloaded().size(), 1'000'000U);
}

TEST_F(download, does_not_wait_long_for_a_server_that_is_not_there) {
    const auto begun = std::chrono::steady_clock::now();
    EXPECT_NE(error_of(url_of_nobody("/file")).find("Failed to connect"), std::string::npos);
    EXPECT_LT(std::chrono::steady_clock::now() - begun, 5s);
    EXPECT_TRUE(notes_.empty()) << notes_.front();
    EXPECT_NE(error_of("ftp://127.0.0.1/file").find("neither http nor https"), std::string::npos);
}

TEST_F(download, keeps_its_part_when_stopped) {
    http_server server([&](const auto& request, auto& connection) {
        file_.send(request, connection, request.number == 0 ? 100'000 : file_bytes);
        if (request.number == 0) connection.stall(30s);
    });
    listener_.stop_requested = [&] { return downloaded().size() == 100'000; };
    const auto begun = std::chrono::steady_clock::now();
    EXPECT_THROW(get(server.url("/file")), work_stopped);
    EXPECT_LT(std::chrono::steady_clock::now() - begun, 5s);
    listener_.stop_requested = nullptr;
    get(server.url("/file"));
    EXPECT_TRUE(downloaded() == file_.content);
    EXPECT_EQ(server.requests().back().from(), 100'000U);
}

TEST_F(download, reports_its_progress) {
    http_server server([&](const auto& request, auto& connection) {
        file_.send(request, connection, 150'000);
        if (request.number == 0) connection.stall(500ms);
    });
    std::vector<work_progress> reports;
    listener_.on_progress = [&](const work_progress& now) { reports.push_back(now); };
    get(server.url("/file"));
    ASSERT_FALSE(reports.empty());
    EXPECT_EQ(reports.back().what, "downloading file");
    EXPECT_EQ(reports.back().total, file_bytes);
    EXPECT_GE(reports.back().done, 150'000U);
    EXPECT_GT(reports.back().per_second, 0);
}

TEST_F(download, trusts_no_part_of_unknown_origin) {
    http_server server([&](const auto& request, auto& connection) { file_.send(request, connection); });
    const std::string good = R"({"url": ")" + server.url("/file") + R"(", "last_modified": "", )";
    for (const std::string& origin :
         {std::string(), std::string("{"), std::string("[]"), std::string(R"({"url": 3})"),
          good + R"("etag": "\"first\"", "bytes": -1})", good + R"("etag": "\"first\"", "bytes": 3})",
          std::string(
              R"({"url": "http://elsewhere/", "etag": "\"first\"", "last_modified": "", "bytes": 9})")}) {
        folder_.write("file.part", "something");
        folder_.write("file.part.json", origin);
        get(server.url("/file"));
        EXPECT_TRUE(downloaded() == file_.content) << origin;
        discard_part(part());
    }
}

TEST_F(download, neither_shows_nor_writes_secrets) {
    http_server server([&](const auto& request, auto& connection) {
        request.number == 0 ? file_.send(request, connection, 70'000)
                            : send_answer(connection, "404 Not Found");
    });
    std::string url = server.url("/file?signature=hush");
    url.insert(url.find("127"), "user:hush@");
    const std::string error = error_of(url);
    EXPECT_NE(error.find(server.url("/file: ")), std::string::npos) << error;
    const mapped_file origin(part().string() + ".json");
    notes_.push_back(error);
    notes_.emplace_back(reinterpret_cast<const char*>(origin.bytes().data()), origin.bytes().size());
    for (const std::string& text : notes_) EXPECT_EQ(text.find("hush"), std::string::npos) << text;
    EXPECT_EQ(server.requests()[0].target, "/file?signature=hush");
    EXPECT_EQ(net::shown_url("https://h/a@b/c?x#y"), "https://h/a@b/c");
    EXPECT_EQ(net::file_name_of_url("https://h/a/b.tgz?x/y"), "b.tgz");
}

TEST_F(download, asks_the_proxy_that_the_environment_names) {
    http_server proxy([&](const auto& request, auto& connection) { file_.send(request, connection); });
    ::setenv("http_proxy", proxy.url("").c_str(), 1);
    get("http://pets.invalid/file");
    ::unsetenv("http_proxy");
    EXPECT_TRUE(downloaded() == file_.content);
    EXPECT_EQ(proxy.requests().at(0).target, "http://pets.invalid/file");
}

TEST_F(download, by_https_only_where_the_certificate_is_trusted) {
    http_server plain([&](const auto& request, auto& connection) { file_.send(request, connection); });
    http_server server(
        [&](const auto& request, auto& connection) {
            if (request.target == "/file") return file_.send(request, connection);
            send_answer(connection, "302 Found", "Location: " + plain.url("/file") + "\r\n");
        },
        folder_.path());
    EXPECT_NE(error_of(server.url("/file")).find("certificate"), std::string::npos);
    EXPECT_TRUE(server.requests().empty());
    const std::string certificate = (folder_.path() / "certificate.pem").string();
    for (const char* variable : {"CURL_CA_BUNDLE", "SSL_CERT_FILE"}) {
        ::setenv(variable, certificate.c_str(), 1);
        get(server.url("/file"));
        EXPECT_TRUE(downloaded() == file_.content);
        discard_part(part());
        EXPECT_NE(error_of(server.url("/to-http")).find("from https to http"), std::string::npos);
        ::unsetenv(variable);
    }
    EXPECT_TRUE(plain.requests().empty());
}

// A full disk is no fault of the server's, and another one will not help.
TEST_F(download, tells_a_disk_that_fails_from_a_server_that_does) {
    http_server server([&](const auto& request, auto& connection) { file_.send(request, connection); });
    rlimit before{};
    ASSERT_EQ(::getrlimit(RLIMIT_FSIZE, &before), 0);
    const rlimit small{100'000, before.rlim_max};
    const auto handler = std::signal(SIGXFSZ, SIG_IGN);
    ASSERT_EQ(::setrlimit(RLIMIT_FSIZE, &small), 0);
    std::string message;
    try {
        get(server.url("/file"));
    } catch (const download_error&) {
        ADD_FAILURE() << "the server was blamed";
    } catch (const environment_error& e) {
        message = e.what();
    }
    ::setrlimit(RLIMIT_FSIZE, &before);
    std::signal(SIGXFSZ, handler);
    EXPECT_EQ(message, "cannot write " + part().string() + ": File too large");
    EXPECT_EQ(server.requests().size(), 1U);
}

} // namespace
