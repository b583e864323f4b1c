// SPDX-License-Identifier: Apache-2.0
#include "bench/gate.hpp"

#include "base/random.hpp"

#include <algorithm>
#include <array>
#include <map>

namespace petnet::bench {
namespace {

using names = std::vector<std::string>;

struct round_result {
    names base_cases, head_cases; // in the programs' order
    std::map<std::string, case_runs> runs;
    double timer_seconds = 0;
};

names names_of(const run_result& run) {
    names found;
    for (const run_result::measured& each : run.cases) found.push_back(each.name);
    return found;
}

round_result run_round(const gate_setup& setup, int round, const names& only, const program_runner& run) {
    struct turn {
        side of;
        std::vector<double> case_runs::*into;
    };
    constexpr std::array turns{turn{side::base, &case_runs::base}, turn{side::base, &case_runs::base_again},
                               turn{side::head, &case_runs::head}};
    const auto runs = setup.pairs * static_cast<int>(turns.size());
    round_result result;
    int done = 0;
    for (int pair = 0; pair < setup.pairs; ++pair) {
        const random_key key = random_key(setup.seed)
                                   .child("order of runs")
                                   .child(static_cast<std::uint64_t>(round))
                                   .child(static_cast<std::uint64_t>(pair));
        for (const std::size_t next : random_permutation(turns.size(), key)) {
            const turn& now = turns[next];
            const run_result measured = run(now.of, only);
            names& known = now.of == side::base ? result.base_cases : result.head_cases;
            const char* whose = now.of == side::base ? "the base" : "the head";
            if (measured.cases.empty()) throw broken_program(std::string(whose) + " measured nothing");
            if (known.empty()) known = names_of(measured);
            if (known != names_of(measured))
                throw broken_program(std::string(whose) + " has other cases from run to run");
            result.timer_seconds = std::max(result.timer_seconds, measured.timer_seconds);
            for (const run_result::measured& each : measured.cases) {
                if (!(each.seconds > 0))
                    throw broken_program(std::string(whose) + " has no time for " + each.name);
                (result.runs[each.name].*now.into).push_back(each.seconds);
            }
            if (setup.progress) setup.progress(round, ++done, runs);
        }
    }
    return result;
}

names missing_in(const names& there, const names& from) {
    names missing;
    std::ranges::copy_if(from, std::back_inserter(missing), [&](const std::string& name) {
        return std::ranges::find(there, name) == there.end();
    });
    return missing;
}

} // namespace

int gate_result::count(verdict v) const {
    return static_cast<int>(
        std::ranges::count_if(cases, [v](const judged_case& each) { return each.found() == v; }));
}

gate_result run_gate(const gate_setup& setup, const program_runner& run) {
    const round_result first = run_round(setup, 1, {}, run);
    gate_result result;
    result.vanished = missing_in(first.head_cases, first.base_cases);
    result.appeared = missing_in(first.base_cases, first.head_cases);
    limits allowed = setup.allowed;
    allowed.timer_seconds = std::max(allowed.timer_seconds, first.timer_seconds);

    names suspects;
    for (const std::string& name : first.base_cases) {
        const case_runs& runs = first.runs.at(name);
        if (runs.head.empty()) continue; // vanished
        result.cases.push_back({.name = name, .first = judge(runs, allowed), .runs = runs});
        if (result.cases.back().first.found == verdict::slower) suspects.push_back(name);
    }
    if (suspects.empty()) return result;

    const round_result second = run_round(setup, 2, suspects, run);
    for (gate_result::judged_case& each : result.cases) {
        const auto again = second.runs.find(each.name);
        each.confirmed = again != second.runs.end() && !again->second.base.empty() &&
                         !again->second.head.empty() &&
                         judge(again->second, allowed).found == verdict::slower;
    }
    return result;
}

} // namespace petnet::bench
