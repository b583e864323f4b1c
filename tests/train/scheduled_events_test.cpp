// SPDX-License-Identifier: Apache-2.0
#include "train/scheduled_events.hpp"

#include "tests/support/http_server.hpp"

#include <atomic>
#include <gtest/gtest.h>

using namespace petnet::testing;
using namespace petnet::train;
using namespace std::chrono_literals;

TEST(scheduled_events, removals) {
    const std::string document = R"({"DocumentIncarnation":2,"Events":[
        {"EventId":"A","EventStatus":"Scheduled","EventType":"Preempt","ResourceType":"VirtualMachine",
         "Resources":["vm_0"],"NotBefore":"Mon, 19 Sep 2022 18:29:47 GMT"},
        {"EventId":"B","EventType":"Terminate","Resources":["vm_1","vm_0"]},
        {"EventId":"C","EventType":"Freeze","Resources":["vm_0"]}]})";
    EXPECT_EQ(removals_in(document, "vm_0"), (std::set<std::string>{"A", "B"}));
    EXPECT_EQ(removals_in(document, "vm_1"), std::set<std::string>{"B"});
    EXPECT_EQ(removals_in(document, ""), (std::set<std::string>{"A", "B"}));
    EXPECT_TRUE(removals_in(document, "vm_2").empty());
    for (const char* other : {"", "{}", "[]", "{\"Events\":3}", "{\"Events\":[1,{}]}", "<html>"})
        EXPECT_TRUE(removals_in(other, "").empty()) << other;
}

TEST(scheduled_events, each_notice_is_told_once) {
    std::atomic<int> asked = 0;
    http_server service([&](const http_request& request, http_connection& connection) {
        if (request.header("metadata") != "true") return send_answer(connection, "400 Bad Request");
        if (request.target.find("scheduledevents") == std::string::npos)
            return send_answer(connection, "404 Not Found");
        const int number = ++asked;
        const std::string id = number > 6 ? "second" : "first";
        send_answer(connection, "200 OK", "",
                    number < 3 ? R"({"Events":[]})"
                               : R"({"Events":[{"EventType":"Preempt","EventId":")" + id + "\"}]}");
    });
    scheduled_events events(service.url(""), 1ms);
    const auto wait = [&](int number) {
        for (int i = 0; i < 5000 && asked < number; ++i) std::this_thread::sleep_for(1ms);
    };
    EXPECT_FALSE(events.take_announcement());
    wait(6);
    EXPECT_TRUE(events.announced());
    EXPECT_TRUE(events.take_announcement());
    wait(12);
    EXPECT_TRUE(events.take_announcement()) << "of the second";
    wait(16);
    EXPECT_FALSE(events.take_announcement());
    EXPECT_TRUE(events.announced());
    EXPECT_EQ(events.take_failure(), "");
}
