// SPDX-License-Identifier: Apache-2.0
#include "app/interruption.hpp"

#include <atomic>
#include <csignal>

namespace petnet::app {
namespace {

std::atomic<int> stop_signal = 0;
static_assert(std::atomic<int>::is_always_lock_free, "set in a signal handler");

void request_stop(int signal) {
    stop_signal = signal;
    std::signal(signal, SIG_DFL); // who asks twice does not want to wait
}

} // namespace

void watch_for_interruption() {
    std::signal(SIGINT, request_stop);
    std::signal(SIGTERM, request_stop);
    std::signal(SIGPIPE, SIG_IGN);
}

bool interrupted() noexcept { return stop_signal.load() != 0; }

int interruption_exit_code() noexcept { return 128 + stop_signal.load(); }

} // namespace petnet::app
