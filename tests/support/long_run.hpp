// SPDX-License-Identifier: Apache-2.0
// Whether the long run of the tests was asked for: `./dev test --long` sets PETNET_LONG. What only repeats in
// another format, or more often, what a quicker test has found waits for it.
#pragma once

#include <cstdlib>

namespace petnet::testing {

inline bool long_run() { return std::getenv("PETNET_LONG") != nullptr; }

// Why a test was skipped: if (!long_run()) GTEST_SKIP() << left_for_long_run;
inline constexpr const char* left_for_long_run = "left for the long run: ./dev test --long runs it";

} // namespace petnet::testing
