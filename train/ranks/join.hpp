// SPDX-License-Identifier: Apache-2.0
// How the processes of a training find each other.
#pragma once

#include "train/ranks/communicator.hpp"
#include "train/ranks/control_channel.hpp"
#include "train/ranks/launch.hpp"

#include <chrono>
#include <functional>
#include <memory>
#include <string>

namespace petnet::ranks {

struct join_settings {
    // For the others to come: machines may have to fetch an image first.
    std::chrono::milliseconds patience = std::chrono::minutes(15);
    std::function<bool()> stop_requested{};            // may be empty, as the next one
    std::function<void(const std::string&)> on_wait{}; // one line, where it takes long
    watch_settings watch{};
};

// Returns when all ranks are there: rank 0 listens at launch.port, or where it tells by MPI; values are
// summed by MPI where that started the processes, else over TCP. nullptr where a stop is asked for before.
// Not for one process: that is alone(). environment_error where ranks do not come.
[[nodiscard]] std::unique_ptr<communicator> join(const launch& place, const join_settings& settings);

} // namespace petnet::ranks
