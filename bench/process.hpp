// SPDX-License-Identifier: Apache-2.0
// Another program, run to its end.
#pragma once

#include <string>
#include <vector>

namespace petnet::bench {

struct process_result {
    int status = 0;     // of its exit; 128 + the signal that ended it
    std::string output; // what it wrote to standard output
};

// words[0] is found by PATH where it names no folder. Its standard error is ours, or nobody's (`quiet`).
// environment_error where it cannot be started.
[[nodiscard]] process_result run_process(const std::vector<std::string>& words, bool quiet = false);

} // namespace petnet::bench
