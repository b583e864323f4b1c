// SPDX-License-Identifier: Apache-2.0
// TCP connections between the processes of one training.
#pragma once

#include "base/descriptor.hpp"

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

namespace petnet::ranks {

using deadline = std::chrono::steady_clock::time_point;

// Waits at every address of this machine; port 0: any free one. environment_error where the port is taken.
[[nodiscard]] descriptor listen_at(std::uint16_t port);
// Binds the port and does not wait there: nobody is given it by chance, while listen_at may be called for it,
// here or in another process. 0, and errors: as there.
[[nodiscard]] descriptor hold_port(std::uint16_t port);
[[nodiscard]] std::uint16_t port_of(const descriptor& bound);
// The next one who asks, within the time; negative where nobody does.
[[nodiscard]] descriptor accept_one(const descriptor& listening, std::chrono::milliseconds within);

// One attempt; negative where nobody answers there.
[[nodiscard]] descriptor connect_to(const std::string& address, std::uint16_t port,
                                    std::chrono::milliseconds within);
[[nodiscard]] std::string address_of_peer(const descriptor& connection);
// Those of this machine, in digits: the loopback's first.
[[nodiscard]] std::vector<std::string> own_addresses();

// All of the bytes, within the time; false where the connection ends before.
[[nodiscard]] bool send_all(int connection, std::span<const std::byte> bytes, deadline until);
[[nodiscard]] bool receive_all(int connection, std::span<std::byte> bytes, deadline until);

// What goes out to a peer and what comes in from it, at once.
struct transfer {
    int connection = -1;
    std::span<const std::byte> out;
    std::span<std::byte> in;
};
// Until all of them are done. The index of one whose connection ended before; nothing where all are done.
[[nodiscard]] std::optional<std::size_t> transfer_all(std::span<transfer> transfers);

} // namespace petnet::ranks
