// SPDX-License-Identifier: Apache-2.0
#include "app/stop_signal.hpp"

#include <atomic>
#include <csignal>

namespace petnet::app {
namespace {

std::atomic<int> received = 0;
static_assert(std::atomic<int>::is_always_lock_free, "set in a signal handler");

void request_stop(int signal) {
    received = signal;
    std::signal(signal, SIG_DFL); // who asks twice does not want to wait
}

} // namespace

void watch_stop_signals() {
    std::signal(SIGINT, request_stop);
    std::signal(SIGTERM, request_stop);
    std::signal(SIGPIPE, SIG_IGN);
}

int stop_signal() noexcept { return received.load(); }

} // namespace petnet::app
