// SPDX-License-Identifier: Apache-2.0
// Ranks as threads of the test: the real connections, over the loopback.
#pragma once

#include "train/ranks/connection.hpp"
#include "train/ranks/join.hpp"

#include <exception>
#include <functional>
#include <gtest/gtest.h>
#include <latch>
#include <memory>
#include <string>
#include <thread>
#include <vector>

namespace petnet::testing {

enum class begins : bool { when_all_joined, at_once };

// `work` on each of so many ranks. What each of them threw, in joining or in the work; empty: nothing.
inline std::vector<std::string> run_ranks(int size, const std::function<void(ranks::communicator&)>& work,
                                          begins when = begins::when_all_joined) {
    const descriptor held = ranks::hold_port(0);
    const std::uint16_t port = ranks::port_of(held);
    std::vector<std::string> failures(static_cast<std::size_t>(size));
    std::latch joined(size);
    const auto run = [&](int rank) {
        std::unique_ptr<ranks::communicator> group;
        try {
            group = ranks::join({.rank = rank, .size = size, .address = "127.0.0.1", .port = port},
                                {.patience = std::chrono::seconds(60)});
            joined.count_down();
            if (when == begins::when_all_joined) joined.wait();
            work(*group);
        } catch (const std::exception& problem) {
            failures[static_cast<std::size_t>(rank)] = problem.what();
            if (!group) joined.count_down();
        }
    };
    std::vector<std::thread> threads;
    threads.reserve(failures.size());
    for (int rank = 0; rank < size; ++rank) threads.emplace_back(run, rank);
    for (std::thread& each : threads) each.join();
    return failures;
}

inline void expect_no_failure(const std::vector<std::string>& failures) {
    for (std::size_t rank = 0; rank < failures.size(); ++rank)
        EXPECT_EQ(failures[rank], "") << "rank " << rank;
}

} // namespace petnet::testing
