// SPDX-License-Identifier: Apache-2.0
// What two processes say when they connect, so that no stranger is taken for a rank, nor the rank of another
// job.
#pragma once

#include "base/descriptor.hpp"
#include "train/ranks/connection.hpp"

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>

namespace petnet::ranks {

using job_key = std::array<std::byte, 16>;
[[nodiscard]] job_key random_job_key();

struct greeting {
    std::array<char, 8> magic{'p', 'e', 't', 'n', 'e', 't', ' ', '1'};
    std::uint32_t size = 0, rank = 0;
    std::uint32_t port = 0; // where the one who greets listens for other ranks
    job_key key{};

    [[nodiscard]] bool is_of(int ranks, const job_key& job) const {
        return magic == greeting().magic && size == static_cast<std::uint32_t>(ranks) && rank < size &&
               key == job;
    }
};

[[nodiscard]] bool greet(const descriptor& connection, const greeting& text);
// Nothing where none comes within seconds.
[[nodiscard]] std::optional<greeting> receive_greeting(const descriptor& connection);

} // namespace petnet::ranks
