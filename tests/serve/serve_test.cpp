// SPDX-License-Identifier: Apache-2.0
// petnet serve: what is answered to whom.
#include "tests/serve/served.hpp"

#include <gmock/gmock.h>
#include <nlohmann/json.hpp>
#include <thread>
#include <vector>

using namespace petnet::testing;
using ::testing::HasSubstr;
using ::testing::StartsWith;
using json = nlohmann::json;

namespace {

std::string base64(const std::string& bytes) {
    constexpr std::string_view letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    std::string text;
    for (std::size_t i = 0; i < bytes.size(); i += 3) {
        std::uint32_t three = 0;
        for (std::size_t k = 0; k < 3; ++k)
            three = three << 8U | (i + k < bytes.size() ? static_cast<unsigned char>(bytes[i + k]) : 0U);
        for (unsigned k = 0; k < 4; ++k)
            text += i + k <= bytes.size() ? letters[three >> (18U - 6 * k) & 63U] : '=';
    }
    return text;
}

std::string chunks(std::string_view body, std::size_t size) {
    std::ostringstream text;
    for (; !body.empty(); body.remove_prefix(std::min(size, body.size())))
        text << std::hex << std::min(size, body.size()) << "\r\n" << body.substr(0, size) << "\r\n";
    return text.str() + "0\r\n\r\n";
}

TEST(serve, answers_what_predict_answers) {
    const served server;
    const std::string file = std::string(PETNET_SAMPLE_DIR) + "/images/pug_112.jpg", pug = sample_photo(),
                      model = std::string(PETNET_MADE_UP_MODEL) + "/pets/1/model.safetensors";
    json expected = json::parse(
        run({"predict", "--json", "--device", "cpu", "--threads", "1", "--model", model, file}).out);
    const auto prediction_of = [](const http_response& answer, std::size_t number = 0) {
        EXPECT_EQ(answer.status, 200) << answer.body;
        EXPECT_EQ(answer.headers.at("content-type"), "application/json");
        return json::parse(answer.body).at("predictions").at(number);
    };
    expected["file"] = "photograph";
    EXPECT_EQ(prediction_of(server.ask(request("POST", "/score", "Content-Type: image/jpeg\r\n", pug))),
              expected);
    EXPECT_EQ(prediction_of(server.ask(request("POST", "/score?x=1", "", pug))), expected);
    const std::string type = "Content-Type: application/json\r\n";
    EXPECT_EQ(
        prediction_of(server.ask(request("POST", "/score", type, R"({"image":")" + base64(pug) + "\"}"))),
        expected);
    EXPECT_EQ(prediction_of(server.ask(request("POST", "/score", "Transfer-Encoding: chunked\r\n") +
                                       chunks(pug, 1000))),
              expected);

    // Several, one of which is none; batches of two round otherwise than batches of one.
    const std::string form =
        "--B\r\nContent-Disposition: form-data; name=\"f\"; filename=\"p.jpg\"\r\n\r\n" + pug +
        "\r\n--B\r\nContent-Disposition: form-data; name=\"f\"; filename=\"n\xff.txt\"\r\n\r\nwords"
        "\r\n--B\r\nContent-Disposition: form-data; name=\"t\"\r\n\r\nwords"
        "\r\n--B\r\nContent-Disposition: form-data; name=\"f\"; filename=\"q.jpg\"\r\n\r\n" +
        pug + "\r\n--B--\r\n";
    const http_response several =
        server.ask(request("POST", "/score", "Content-Type: multipart/form-data; boundary=B\r\n", form));
    for (const std::size_t number : {0U, 2U}) {
        const json prediction = prediction_of(several, number);
        EXPECT_EQ(prediction.at("file"), number == 0 ? "p.jpg" : "q.jpg");
        EXPECT_EQ(prediction.at("label"), expected.at("label"));
        for (std::size_t c = 0; c < 3; ++c)
            EXPECT_NEAR(prediction.at("logits").at(c).get<double>(),
                        expected.at("logits").at(c).get<double>(), 1e-4);
    }
    const json broken = prediction_of(several, 1);
    EXPECT_THAT(broken.at("error").get<std::string>(), HasSubstr("not a JPEG"));
    EXPECT_FALSE(broken.contains("label"));

    // A connection stays for the next request, also one that was sent with the first.
    raw_client twice(server.port());
    EXPECT_TRUE(twice.send(request("POST", "/score", "", pug) + request("GET", "/livez")));
    const auto first = twice.read(), second = twice.read();
    ASSERT_TRUE(first && second);
    EXPECT_EQ(prediction_of(*first), expected);
    EXPECT_EQ(second->body, "alive\n");
    // The body only where it is wanted.
    EXPECT_TRUE(twice.send(request(
        "POST", "/score", "Expect: 100-continue\r\nContent-Length: " + std::to_string(pug.size()) + "\r\n")));
    const auto go_on = twice.read();
    ASSERT_TRUE(go_on);
    EXPECT_EQ(go_on->status, 100);
    EXPECT_TRUE(twice.send(pug));
    const auto third = twice.read();
    ASSERT_TRUE(third);
    EXPECT_EQ(prediction_of(*third), expected);
}

TEST(serve, routes_and_refusals) {
    const served server({"--max-body", "1"});
    const auto status = [&](const std::string& bytes) {
        const http_response answer = server.ask(bytes);
        if (answer.status >= 400) {
            EXPECT_TRUE(json::parse(answer.body).at("error").is_string()) << answer.body;
        }
        return answer.status;
    };
    EXPECT_EQ(server.ask(request("GET", "/livez")).body, "alive\n");
    EXPECT_EQ(server.ask(request("GET", "/readyz")).body, "ready\n");
    const http_response page =
        server.ask(request("GET", "/", "Accept-Encoding: gzip, br\r\nRange: bytes=0-3\r\n"));
    EXPECT_EQ(page.status, 200);
    EXPECT_THAT(page.body, StartsWith("<!doctype html>"));
    EXPECT_THAT(page.headers.at("content-security-policy"), HasSubstr("default-src 'none'"));
    EXPECT_EQ(status(request("GET", "/other")), 404);
    EXPECT_EQ(status(request("POST", "/", "", "x")), 405);
    EXPECT_EQ(status(request("DELETE", "/score")), 405);
    EXPECT_EQ(server.ask(request("GET", "/score")).headers.at("allow"), "POST");
    EXPECT_EQ(status(request("POST", "/score", "", "words")), 400);
    EXPECT_EQ(status(request("POST", "/score", "Content-Length: 0\r\n")), 400);
    EXPECT_EQ(status(request("POST", "/score")), 411);
    // Whatever is announced is refused before it comes; what is not, once it is too much.
    EXPECT_EQ(status(request("POST", "/score", "Content-Length: 1048577\r\n")), 413);
    EXPECT_EQ(status(request("POST", "/score", "Expect: 100-continue\r\nContent-Length: 999999999999\r\n")),
              413);
    EXPECT_EQ(status(request("POST", "/score", "Transfer-Encoding: chunked\r\n") +
                     chunks(std::string(1048577, 'x'), 65536)),
              413);
    // A megabyte of nothing in a kilobyte.
    EXPECT_EQ(status(request(
                  "POST", "/score", "Content-Type: application/json\r\n",
                  R"({"images":[)" +
                      [] {
                          std::string many = "\"\"";
                          for (int i = 0; i < 1000; ++i) many += ",\"\"";
                          return many;
                      }() +
                      "]}")),
              413);
    EXPECT_EQ(server.metric("petnet_http_answers_total{code=\"413\"}"), 4);
    EXPECT_EQ(server.metric("petnet_queue_photographs"), 0);

    // Where a body ends must be sure.
    for (const char* headers :
         {"Content-Length: 1\r\nContent-Length: 1\r\n", "Content-Length: 1\r\nTransfer-Encoding: chunked\r\n",
          "Transfer-Encoding: gzip\r\n", "Content-Length: -1\r\n", "Content-Length: 1 1\r\n",
          "Content-Length: x\r\n", "Content-Length: 99999999999999999999\r\n"}) {
        raw_client client(server.port());
        EXPECT_TRUE(client.send(request("POST", "/score", headers) + request("GET", "/livez")));
        const auto answer = client.read();
        ASSERT_TRUE(answer);
        EXPECT_EQ(answer->status, 400) << headers;
        EXPECT_FALSE(client.read()) << headers; // what follows is no request
    }
}

TEST(serve, a_key) {
    served server({}, {.environment = {{"PETNET_SERVE_KEY", "open sesame"}}});
    const std::string key = "Authorization: Bearer open sesame\r\n";
    for (const char* path : {"/", "/score", "/metrics", "/nowhere"}) {
        const http_response answer = server.ask(request("GET", path));
        EXPECT_EQ(answer.status, 401) << path;
        EXPECT_THAT(answer.headers.at("www-authenticate"), HasSubstr("realm=\"petnet\"")) << path;
    }
    EXPECT_EQ(server.ask(request("POST", "/score", "Authorization: Bearer other\r\n", sample_photo())).status,
              401);
    EXPECT_EQ(server.ask(request("POST", "/score", "Content-Length: 30000000\r\n")).status, 401);
    EXPECT_EQ(server.ask(request("POST", "/score", key, sample_photo())).status, 200);
    EXPECT_EQ(server.ask(request("GET", "/", key)).status, 200);
    for (const char* path : {"/livez", "/readyz"})
        EXPECT_EQ(server.ask(request("GET", path)).status, 200) << path;
    const outcome end = server.stop();
    EXPECT_EQ(end.code, 0);
    EXPECT_THAT(end.out + end.err, ::testing::Not(HasSubstr("sesame")));
}

TEST(serve, a_full_queue) {
    // Nobody waits for others, and one photograph at a time has a place.
    const served server({"--queue", "1", "--batch-size", "1"});
    raw_client first(server.port());
    const std::string pug = sample_photo();
    // It has its place from its head on.
    EXPECT_TRUE(
        first.send(request("POST", "/score", "Content-Length: " + std::to_string(pug.size()) + "\r\n")));
    while (server.metric("petnet_queue_photographs") != 1) std::this_thread::yield();
    raw_client second(server.port());
    EXPECT_TRUE(second.send(request("POST", "/score", "", pug)));
    const auto refused = second.read();
    ASSERT_TRUE(refused);
    EXPECT_EQ(refused->status, 429);
    EXPECT_GE(std::stoi(refused->headers.at("retry-after")), 1);
    EXPECT_TRUE(first.send(pug));
    const auto answered = first.read();
    ASSERT_TRUE(answered);
    EXPECT_EQ(answered->status, 200) << answered->body;
    EXPECT_EQ(server.ask(request("POST", "/score", "", pug)).status, 200);
    EXPECT_EQ(server.metric("petnet_http_answers_total{code=\"429\"}"), 1);
}

} // namespace
