// SPDX-License-Identifier: Apache-2.0
// petnet-bench gate BASE HEAD
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

namespace petnet::bench {

struct gate_options {
    std::filesystem::path base, head; // programs, or build folders that hold bench/petnet-bench
    int pairs = 5;
    std::uint64_t seed = 1;
    std::string filter;
    std::vector<std::string> passed_on; // further options of both programs: --quick, --device, ...
    std::string json;                   // a file for all medians and verdicts; empty: none
};

// Prints what is not SAME and a line of counts. Status 0, or 1 where a case is SLOWER or vanished or a
// program is broken. usage_error where there is no program.
[[nodiscard]] int run_gate_command(const gate_options& options);

} // namespace petnet::bench
