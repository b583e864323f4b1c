// SPDX-License-Identifier: Apache-2.0
// Ranks as threads of the test: the real connections, over the loopback.
#pragma once

#include "train/ranks/connection.hpp"
#include "train/ranks/join.hpp"

#include <exception>
#include <functional>
#include <gtest/gtest.h>
#include <memory>
#include <string>
#include <thread>
#include <vector>

namespace petnet::testing {

// `work` on each of so many ranks at once. What each of them threw; empty: nothing.
inline std::vector<std::string> run_ranks(int size, const std::function<void(ranks::communicator&)>& work,
                                          const ranks::watch_settings& watch = {}) {
    const std::uint16_t port = ranks::port_of(ranks::listen_at(0)); // free a moment ago
    std::vector<std::string> failures(static_cast<std::size_t>(size));
    std::vector<std::thread> threads;
    threads.reserve(failures.size());
    for (int rank = 0; rank < size; ++rank)
        threads.emplace_back([&, rank] {
            try {
                const auto group =
                    ranks::join({.rank = rank, .size = size, .address = "127.0.0.1", .port = port},
                                {.patience = std::chrono::seconds(60), .watch = watch});
                work(*group);
            } catch (const std::exception& problem) {
                failures[static_cast<std::size_t>(rank)] = problem.what();
            }
        });
    for (std::thread& each : threads) each.join();
    return failures;
}

inline void expect_no_failure(const std::vector<std::string>& failures) {
    for (std::size_t rank = 0; rank < failures.size(); ++rank)
        EXPECT_EQ(failures[rank], "") << "rank " << rank;
}

} // namespace petnet::testing
