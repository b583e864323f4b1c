// SPDX-License-Identifier: Apache-2.0
// Ranks that add, tell and leave; and what the others see of one that dies, hangs or fails.
#include "base/errors.hpp"
#include "base/random.hpp"
#include "tests/train/ranks/crew.hpp"
#include "train/ranks/control_channel.hpp"
#include "train/ranks/handshake.hpp"

#include <array>
#include <atomic>
#include <cstring>
#include <gmock/gmock.h>
#include <mutex>
#include <numeric>
#include <sys/socket.h>

using namespace petnet;
using namespace petnet::ranks;
using namespace std::chrono_literals;
using petnet::testing::begins;
using petnet::testing::expect_no_failure;
using petnet::testing::run_ranks;

namespace {

std::vector<float> values_of(int rank, std::size_t count) {
    std::vector<float> values(count);
    const random_key key = random_key(static_cast<std::uint64_t>(rank)).child("values");
    for (std::size_t i = 0; i < count; ++i) values[i] = static_cast<float>(key.normal(i));
    return values;
}

TEST(communicator, sums_in_the_order_of_ranks_whatever_their_number_and_the_length) {
    for (const int size : {2, 3, 4})
        for (const std::size_t count : {0UL, 1UL, 2UL, 5UL, 300'001UL}) {
            std::vector<float> expected = values_of(0, count);
            for (int rank = 1; rank < size; ++rank) {
                const std::vector<float> theirs = values_of(rank, count);
                for (std::size_t i = 0; i < count; ++i) expected[i] += theirs[i];
            }
            expect_no_failure(run_ranks(size, [&](communicator& group) {
                std::vector<float> values = values_of(group.rank(), count);
                group.all_reduce(values);
                EXPECT_TRUE(values == expected) << count << " values, rank " << group.rank();
                EXPECT_EQ(group.bytes_reduced(), count * sizeof(float));
                EXPECT_EQ(group.transport(), "tcp");
                group.leave();
            }));
        }
}

TEST(communicator, tells) {
    expect_no_failure(run_ranks(3, [](communicator& group) {
        EXPECT_EQ(group.size(), 3);
        EXPECT_EQ(group.leads(), group.rank() == 0);
        std::vector<std::byte> large(20'000'001, std::byte(group.rank())); // in pieces
        large.back() = std::byte(7 + group.rank());
        group.broadcast(large);
        EXPECT_EQ(large.front(), std::byte(0));
        EXPECT_EQ(large.back(), std::byte(7));

        const std::vector<std::byte> own(static_cast<std::size_t>(group.rank()), std::byte(9));
        const auto all = group.gather(own);
        ASSERT_EQ(all.size(), group.leads() ? 3U : 0U);
        for (std::size_t i = 0; i < all.size(); ++i) EXPECT_EQ(all[i].size(), i);

        EXPECT_EQ(group.any(0), 0U);
        EXPECT_EQ(group.any(1U << group.rank()), 7U);
        group.leave();
    }));
}

TEST(communicator, alone) {
    std::vector<float> values{1, 2};
    alone().all_reduce(values);
    EXPECT_EQ(values, (std::vector<float>{1, 2}));
    EXPECT_EQ(alone().any(6), 6U);
    EXPECT_EQ(alone().size(), 1);
}

TEST(communicator, sums_on_another_thread_while_it_tells) {
    expect_no_failure(run_ranks(2, [](communicator& group) {
        std::thread adding([&] {
            for (int i = 0; i < 50; ++i) {
                std::vector<float> values(10'000, 1);
                group.all_reduce(values);
                EXPECT_EQ(values[9'999], 2);
            }
        });
        for (int i = 0; i < 50; ++i) EXPECT_EQ(group.any(1), 1U);
        adding.join();
        group.leave();
    }));
}

// One of them ends without a word: in a sum, in a call, or in none.
TEST(communicator, all_others_learn_that_a_rank_is_gone) {
    for (const int dead : {0, 1, 2}) {
        const auto failures = run_ranks(3, [&](communicator& group) {
            if (group.rank() == dead) return; // its connections are closed
            if (group.rank() == (dead + 1) % 3) {
                std::vector<float> values(1000, 1);
                for (;;) group.all_reduce(values);
            }
            for (;;) static_cast<void>(group.any(0));
        });
        for (int rank = 0; rank < 3; ++rank) {
            const std::string& failure = failures[static_cast<std::size_t>(rank)];
            if (rank == dead)
                EXPECT_EQ(failure, "");
            else
                EXPECT_NE(failure.find("rank " + std::to_string(dead) + " of 3 is gone"), std::string::npos)
                    << "rank " << rank << ": " << failure;
        }
    }
}

TEST(communicator, all_others_learn_why_a_rank_failed) {
    for (const int failing : {0, 2}) {
        const auto failures = run_ranks(3, [&](communicator& group) {
            if (group.rank() == failing) return group.fail("the disk is full");
            std::vector<float> values(1000, 1);
            for (;;) group.all_reduce(values);
        });
        for (int rank = 0; rank < 3; ++rank)
            EXPECT_EQ(failures[static_cast<std::size_t>(rank)],
                      rank == failing ? ""
                                      : "rank " + std::to_string(failing) + " of 3 failed: the disk is full");
    }
}

TEST(communicator, ranks_that_fail_together_do_not_wait_for_each_other) {
    const auto began = std::chrono::steady_clock::now();
    const auto failures = run_ranks(3, [&](communicator& group) {
        if (group.rank() < 2) return group.fail("the disk is full");
        for (;;) static_cast<void>(group.any(0));
    });
    EXPECT_LT(std::chrono::steady_clock::now() - began, 4s);
    EXPECT_EQ(failures[0], "");
    EXPECT_EQ(failures[1], "");
    EXPECT_NE(failures[2].find(" of 3 failed: the disk is full"), std::string::npos) << failures[2];
}

// One that has joined does not know whether the others have.
TEST(communicator, ranks_that_fail_while_others_join_are_named) {
    for (int i = 0; i < 30; ++i) {
        const auto failures = run_ranks(
            3,
            [&](communicator& group) {
                if (group.rank() < 2) return group.fail("the disk is full");
                for (;;) static_cast<void>(group.any(0));
            },
            begins::at_once);
        for (const std::string& failure : failures)
            EXPECT_TRUE(failure.empty() ||
                        failure.find(" of 3 failed: the disk is full") != std::string::npos)
                << failure;
        EXPECT_TRUE(failures[0].empty() || failures[1].empty());
        EXPECT_NE(failures[2], "");
    }
}

TEST(communicator, strangers_are_not_taken_for_ranks) {
    const descriptor held = hold_port(0);
    const std::uint16_t port = port_of(held);
    std::atomic<bool> joined = false;
    const auto rank = [&](int number) {
        const auto group =
            join({.rank = number, .size = 2, .address = "127.0.0.1", .port = port}, {.patience = 60s});
        EXPECT_EQ(group->any(1U << number), 3U);
        group->leave();
        joined = true;
    };
    std::thread lead(rank, 0);
    descriptor silent, scanner, other_size, other_job, itself, gone;
    while (!silent.is_open()) silent = connect_to("127.0.0.1", port, 1s);
    scanner = connect_to("127.0.0.1", port, 1s);
    const std::string request = "GET / HTTP/1.1\r\nHost: somewhere\r\nUser-Agent: a scanner of ports\r\n\r\n";
    EXPECT_TRUE(
        send_all(scanner.get(), std::as_bytes(std::span(request)), std::chrono::steady_clock::now() + 1s));
    other_size = connect_to("127.0.0.1", port, 1s);
    EXPECT_TRUE(greet(other_size, {.size = 3, .rank = 1}));
    other_job = connect_to("127.0.0.1", port, 1s);
    EXPECT_TRUE(greet(other_job, {.size = 2, .rank = 1, .key = random_job_key()}));
    itself = connect_to("127.0.0.1", port, 1s);
    EXPECT_TRUE(greet(itself, {.size = 2, .rank = 0}));
    gone = connect_to("127.0.0.1", port, 1s); // the real one, which gave up before it was answered
    EXPECT_TRUE(greet(gone, {.size = 2, .rank = 1}));
    gone = descriptor();
    EXPECT_FALSE(joined);
    rank(1);
    lead.join();
}

TEST(communicator, ranks_that_do_not_come_are_waited_for_so_long) {
    const descriptor held = hold_port(0);
    const std::uint16_t port = port_of(held);
    for (const int rank : {0, 1}) {
        try {
            static_cast<void>(
                join({.rank = rank, .size = 2, .address = "127.0.0.1", .port = port}, {.patience = 300ms}));
            ADD_FAILURE() << "joined with nobody";
        } catch (const environment_error& problem) {
            const std::string text = problem.what();
            EXPECT_NE(text.find(rank == 0 ? "1 of 2 ranks" : "rank 0 at 127.0.0.1"), std::string::npos)
                << text;
        }
        EXPECT_EQ(join({.rank = rank, .size = 2, .address = "127.0.0.1", .port = port},
                       {.stop_requested = [] { return true; }}),
                  nullptr);
    }
}

// A control channel of rank 0, with a connection of which the test plays the other end.
class played_peer : public ::testing::Test {
  protected:
    played_peer() {
        std::array<int, 2> ends{};
        if (::socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, ends.data()) != 0)
            throw std::runtime_error("no sockets");
        peer_ = descriptor(ends[1]);
        connections_.resize(2);
        connections_[1] = descriptor(ends[0]);
    }
    descriptor peer_;
    std::vector<descriptor> connections_;
};

TEST_F(played_peer, one_that_hangs_is_gone_and_one_that_cannot_end_is_ended) {
    std::mutex mutex;
    std::string stuck;
    control_channel control(
        0, std::move(connections_),
        {.heartbeat = 20ms, .silence = 200ms, .patience = 100ms, .on_stuck = [&](const std::string& why) {
             const std::lock_guard lock(mutex);
             stuck = why;
         }});
    std::atomic<bool> told = false;
    control.on_loss([&] { told = true; });
    const auto start = std::chrono::steady_clock::now();
    try {
        static_cast<void>(control.receive(1));
        ADD_FAILURE() << "a message from nobody";
    } catch (const environment_error& problem) {
        EXPECT_NE(std::string(problem.what()).find("rank 1 of 2 is gone: it has not been heard of"),
                  std::string::npos)
            << problem.what();
    }
    EXPECT_GT(std::chrono::steady_clock::now() - start, 200ms);
    for (;; std::this_thread::sleep_for(5ms)) {
        const std::lock_guard lock(mutex);
        if (!stuck.empty()) break;
    }
    EXPECT_TRUE(told);
    EXPECT_EQ(stuck, *control.why_lost());
    std::array<std::byte, 8> beat{};
    EXPECT_TRUE(receive_all(peer_.get(), beat, start + 60s)) << "it was heard of itself";
}

TEST_F(played_peer, what_is_no_message_ends_it) {
    control_channel control(0, std::move(connections_), {});
    const std::array<std::uint32_t, 2> head{0, 0xFFFFFFFFU}; // 4 GB
    ASSERT_TRUE(send_all(peer_.get(), std::as_bytes(std::span(head)), std::chrono::steady_clock::now() + 1s));
    EXPECT_THAT([&] { static_cast<void>(control.receive(1)); },
                ::testing::ThrowsMessage<environment_error>(::testing::HasSubstr("sent what is no message")));
}

} // namespace
