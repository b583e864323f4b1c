// SPDX-License-Identifier: Apache-2.0
// The regression gate: runs two programs in turns on one machine and judges each of their cases. What a run
// is, it does not know: processes (gate_command.hpp), or a clock that a test makes up.
#pragma once

#include "bench/verdict.hpp"

#include <cstdint>
#include <functional>
#include <stdexcept>
#include <string>
#include <vector>

namespace petnet::bench {

enum class side : std::uint8_t { base, head };

struct run_result {
    struct measured {
        std::string name;
        double seconds = 0; // the run's median
    };
    std::vector<measured> cases;
    double timer_seconds = 0; // the error of the run's clock
};

// Runs a program once: all cases, or those named where some are.
using program_runner = std::function<run_result(side of, const std::vector<std::string>& only)>;

struct gate_setup {
    int pairs = 5; // runs of each side in a round; the base's are doubled for the A/A comparison
    std::uint64_t seed = 1;
    limits allowed{};
    std::function<void(int round, int done, int runs)> progress{}; // may be empty
};

struct gate_result {
    struct judged_case {
        std::string name;
        judgement first;
        case_runs runs;         // of the first round
        bool confirmed = false; // SLOWER in the second round too
        [[nodiscard]] verdict found() const {
            return first.found == verdict::slower && !confirmed ? verdict::unclear : first.found;
        }
    };
    std::vector<judged_case> cases;              // in the base's order
    std::vector<std::string> vanished, appeared; // of the base, not in the head; and the reverse
    [[nodiscard]] int count(verdict v) const;
    [[nodiscard]] bool passed() const { return vanished.empty() && count(verdict::slower) == 0; }
};

// A program that does not do what a bench does: no cases, other cases from run to run.
class broken_program : public std::runtime_error {
  public:
    using std::runtime_error::runtime_error;
};

// `pairs` times base, base and head, in an order drawn anew each time; then, where a case is SLOWER, the same
// with those cases alone, in which it has to be so again. Throws what `run` throws, and broken_program.
[[nodiscard]] gate_result run_gate(const gate_setup& setup, const program_runner& run);

} // namespace petnet::bench
