// SPDX-License-Identifier: Apache-2.0
// SIGINT and SIGTERM as a wish to stop; a second one ends the program at once.
#pragma once

namespace petnet::app {

// From here on. SIGPIPE is ignored: who reads the output may leave before its end.
void watch_stop_signals();
// The number of the signal that came, 0 where none did.
[[nodiscard]] int stop_signal() noexcept;

} // namespace petnet::app
