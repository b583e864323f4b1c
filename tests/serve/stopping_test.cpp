// SPDX-License-Identifier: Apache-2.0
// petnet serve: how it begins, ends, and does without those who come too slowly.
#include "tests/app/folders.hpp"
#include "tests/serve/served.hpp"

#include <csignal>
#include <thread>

using namespace petnet::testing;
using namespace std::chrono_literals;

namespace {

TEST(serve, a_stop_answers_what_was_asked) {
    served server;
    const std::string pug = sample_photo();
    raw_client asked(server.port()), idle(server.port()), other(server.port());
    const std::string head =
        request("POST", "/score", "Content-Length: " + std::to_string(pug.size()) + "\r\n");
    EXPECT_TRUE(asked.send(head + pug.substr(0, 100)));
    EXPECT_TRUE(idle.send(request("GET", "/readyz")));
    EXPECT_EQ(idle.read().value_or(http_response{}).status, 200);
    while (server.metric("petnet_queue_photographs") != 1) std::this_thread::yield();
    server.process().signal(SIGTERM);
    EXPECT_TRUE(idle.closed_within(10s));
    // As long as somebody is being answered, others are told why not.
    const http_response not_ready = server.ask(request("GET", "/readyz"));
    EXPECT_EQ(not_ready.status, 503);
    EXPECT_EQ(not_ready.headers.at("connection"), "close");
    EXPECT_EQ(server.ask(request("GET", "/livez")).status, 200);
    EXPECT_EQ(server.ask(request("POST", "/score", "", pug)).status, 503);
    EXPECT_TRUE(asked.send(pug.substr(100)));
    const auto answer = asked.read();
    ASSERT_TRUE(answer);
    EXPECT_EQ(answer->status, 200) << answer->body;
    EXPECT_EQ(answer->headers.at("connection"), "close");
    const outcome end = server.process().end();
    EXPECT_EQ(end.code, 0);
    EXPECT_EQ(end.err, "");
}

TEST(serve, slow_senders_are_sent_away) {
    const served server({"--timeout", "1"});
    raw_client head(server.port()), body(server.port()), silent(server.port());
    EXPECT_TRUE(head.send("GET / HTTP/1.1\r\nHost: "));
    EXPECT_TRUE(body.send(request("POST", "/score", "Content-Length: 1000\r\n", "") + "a few bytes"));
    for (raw_client* client : {&head, &body}) {
        const auto answer = client->read();
        ASSERT_TRUE(answer);
        EXPECT_EQ(answer->status, 408);
        EXPECT_TRUE(client->closed_within(10s));
    }
    EXPECT_TRUE(silent.closed_within(10s));
    raw_client endless(server.port());
    EXPECT_TRUE(endless.send("GET / HTTP/1.1\r\nA: " + std::string(40'000, 'h')));
    EXPECT_EQ(endless.read().value_or(http_response{}).status, 431) << "not waited for";
    EXPECT_EQ(server.metric("petnet_queue_photographs"), 0);
}

TEST(serve, connections_are_bounded) {
    const served server({"--connections", "2"});
    raw_client one(server.port()), two(server.port()), three(server.port());
    const auto livez = [](raw_client& client, std::chrono::milliseconds at_most) {
        EXPECT_TRUE(client.send(request("GET", "/livez")));
        return client.read(at_most).value_or(http_response{}).status;
    };
    EXPECT_EQ(livez(one, 60s), 200);
    EXPECT_EQ(livez(two, 60s), 200);
    // Where another waits, a connection that only might ask again makes room.
    EXPECT_EQ(livez(three, 60s), 200);
}

class serve_refuses : public work_folder {};

TEST_F(serve_refuses, in_one_line) {
    const surroundings nothing{.folder = folder()};
    EXPECT_TRUE(refused(run({"serve", "--port", "0"}, nothing), 3, {"outputs/model.safetensors", "--model"}));
    EXPECT_TRUE(refused(run({"serve", "--port", "0", "--model", at("none")}), 3, {"none"}));
    const auto mounted = [&](const std::string& where) {
        return surroundings{.environment = {{"AZUREML_MODEL_DIR", where}}};
    };
    EXPECT_TRUE(
        refused(run({"serve", "--port", "0"}, mounted(at("none"))), 3, {"AZUREML_MODEL_DIR", "none"}));
    EXPECT_TRUE(
        refused(run({"serve", "--port", "0"}, mounted(folder())), 3, {"AZUREML_MODEL_DIR", "there is none"}));
    write("a/model.safetensors", "x");
    write("b/c/model.safetensors", "x");
    EXPECT_TRUE(refused(run({"serve", "--port", "0"}, mounted(folder())), 3, {"there are 2", "--model"}));
    EXPECT_TRUE(refused(run({"serve", "--port", "0", "--model", at("a")}), 3, {"model.safetensors"}));

    const std::string model = std::string(PETNET_MADE_UP_MODEL) + "/pets/1";
    for (const auto& [option, value] :
         std::vector<std::pair<const char*, const char*>>{{"--port", "65536"},
                                                          {"--queue", "0"},
                                                          {"--max-body", "0"},
                                                          {"--timeout", "0"},
                                                          {"--connections", "2000"},
                                                          {"--max-wait", "-1"}})
        EXPECT_TRUE(refused(run({"serve", "--model", model, option, value}), 2, {option}));
    EXPECT_TRUE(
        refused(run({"serve", "--port", "0", "--model", model}, {.environment = {{"PETNET_SERVE_KEY", ""}}}),
                2, {"PETNET_SERVE_KEY is empty"}));
    EXPECT_TRUE(refused(run({"serve", "--host", "203.0.113.1", "--model", model, "--port", "0"},
                            {.environment = {{"PETNET_SERVE_KEY", "k"}}}),
                        4, {"203.0.113.1"}));
    const served server;
    EXPECT_TRUE(refused(run({"serve", "--model", model, "--port", std::to_string(server.port())}), 4,
                        {"port " + std::to_string(server.port()), "another program"}));
}

} // namespace
