// SPDX-License-Identifier: Apache-2.0
// What benches need of a device beyond its work: a clock in the device's own order of work, and cold caches.
#pragma once

#include "kernels/backend.hpp"

#include <cstddef>
#include <memory>
#include <span>

namespace petnet::kernels {

// The time between two places in a backend's order of work.
class stopwatch {
  public:
    stopwatch() = default;
    stopwatch(const stopwatch&) = delete; // holds the device's events
    stopwatch& operator=(const stopwatch&) = delete;
    virtual ~stopwatch() = default;
    virtual void start() = 0;
    virtual void stop() = 0;
    [[nodiscard]] virtual double seconds() = 0; // from the last start to the last stop; waits for both
};

// A backend whose device has a clock and caches of its own is one of these too. All others work while their
// caller waits, in memory of the host.
class timed_device {
  public:
    timed_device() = default;
    timed_device(const timed_device&) = delete; // a part of a backend
    timed_device& operator=(const timed_device&) = delete;
    virtual ~timed_device() = default;
    [[nodiscard]] virtual std::unique_ptr<stopwatch> make_stopwatch() = 0;
    virtual void evict(std::span<const std::byte> memory) = 0;
};

// The device's clock, or the host's. The backend outlives it.
[[nodiscard]] std::unique_ptr<stopwatch> make_stopwatch(backend& device);

// None of the device's caches holds any of these bytes of its memory afterwards, in its order of work. Not
// for check:A,B, whose memory may be either's.
void evict(backend& device, std::span<const std::byte> memory);

} // namespace petnet::kernels
