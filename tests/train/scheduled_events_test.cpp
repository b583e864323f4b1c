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
    std::atomic<const char*> announced = "";
    http_server service([&](const http_request& request, http_connection& connection) {
        if (request.header("metadata") != "true") return send_answer(connection, "400 Bad Request");
        if (request.target.find("scheduledevents") == std::string::npos)
            return send_answer(connection, "404 Not Found");
        const std::string id = announced.load();
        send_answer(connection, "200 OK", "",
                    id.empty() ? R"({"Events":[]})"
                               : R"({"Events":[{"EventType":"Preempt","EventId":")" + id + "\"}]}");
        ++asked;
    });
    scheduled_events events(service.url(""), 1ms);
    // Until the answer to a request that came after this call has been read.
    const auto wait = [&] {
        const int before = asked;
        for (int i = 0; i < 20000 && asked < before + 3; ++i) std::this_thread::sleep_for(1ms);
    };
    wait();
    EXPECT_FALSE(events.take_announcement());
    announced = "first";
    wait();
    EXPECT_TRUE(events.announced());
    EXPECT_TRUE(events.take_announcement());
    wait();
    EXPECT_FALSE(events.take_announcement());
    announced = "second";
    wait();
    EXPECT_TRUE(events.take_announcement()) << "of the second";
    wait();
    EXPECT_FALSE(events.take_announcement());
    EXPECT_TRUE(events.announced());
    EXPECT_EQ(events.take_failure(), "");
}
