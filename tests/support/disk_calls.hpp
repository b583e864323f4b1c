// SPDX-License-Identifier: Apache-2.0
// What a program asks the system to do for the safety of a file. A program that links disk_calls.cpp has
// these functions of the C library in its own version, which notes the call and passes it on.
#pragma once

#include <string>
#include <vector>

namespace petnet::test {

// "fsync a.txt", "fsync a folder", "rename to a.txt": since the last call of this function, in their order.
// Temporary files are named without what is behind the extension ".tmp".
[[nodiscard]] std::vector<std::string> disk_calls();

} // namespace petnet::test
