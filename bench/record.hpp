// SPDX-License-Identifier: Apache-2.0
// What petnet-bench found, as its JSON file and its table show it.
#pragma once

#include "bench/bench_case.hpp"
#include "bench/peaks.hpp"

#include <map>
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <utility>
#include <vector>

namespace petnet::bench {

struct measured_case {
    case_description about;
    measurement result;
};

struct record {
    std::string command, device; // the device in plain words, with its libraries
    std::string device_name;     // "cpu"
    std::map<std::pair<std::string, int>, device_peaks> peaks; // by precision and threads
    std::vector<measured_case> cases;
    double seconds = 0; // that all of it took
    // What reading the clock takes and errs by: the largest of the cases'.
    [[nodiscard]] double clock_seconds() const;
    [[nodiscard]] double timer_error() const;
    [[nodiscard]] const device_peaks* peaks_of(const case_description& about) const; // nullptr: not known
};

// With the machine, versions, date, and all samples.
[[nodiscard]] nlohmann::json to_json(const record& found);

// For a terminal of 80 columns: the machine, then a line for each case, by kind; then for each step, what its
// operations sum up to.
[[nodiscard]] std::string to_table(const record& found);

} // namespace petnet::bench
