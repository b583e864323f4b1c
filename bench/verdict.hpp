// SPDX-License-Identifier: Apache-2.0
// Whether a case became slower between two programs, judged from the medians of several runs of each.
#pragma once

#include <cstdint>
#include <vector>

namespace petnet::bench {

enum class verdict : std::uint8_t { same, faster, slower, unclear };
[[nodiscard]] const char* name_of(verdict v) noexcept; // "SLOWER"

// Seconds: a run's median, for each run. `base` and `base_again` are of the same program: what lies between
// them is noise.
struct case_runs {
    std::vector<double> base, base_again, head;
};

struct limits {
    double change = 0.03;     // of the base's time; less is no change
    double timer_seconds = 0; // the clock's own error: less is no change either
    double p = 0.01;          // of the rank test
};

struct judgement {
    verdict found = verdict::unclear;
    double base_seconds = 0, head_seconds = 0; // medians over the runs
    double noise = 0; // of the base's time: the larger of the A/A difference and the spread over the runs
    double p = 1;
    [[nodiscard]] double change() const { return head_seconds / base_seconds - 1; }
};

// SLOWER and FASTER: the medians differ by more than limits.change, the noise and the clock's error, and the
// rank test says that this is no chance. SAME: a change as large as limits.change would have shown, and there
// is none. UNCLEAR: all else, as where the runs vary by more than the limit.
[[nodiscard]] judgement judge(const case_runs& runs, const limits& allowed);

} // namespace petnet::bench
