// SPDX-License-Identifier: Apache-2.0
// Ctrl-C and SIGTERM ask for an orderly end.
#pragma once

namespace petnet::app {

// From now on the first of these signals is only noted, a second one ends the program at once. Writing to a
// reader that has left is no reason to end.
void watch_for_interruption();

[[nodiscard]] bool interrupted() noexcept;
[[nodiscard]] int interruption_exit_code() noexcept; // 128 + the signal; interrupted() holds

} // namespace petnet::app
