// SPDX-License-Identifier: Apache-2.0
#include "bench/verdict.hpp"

#include "bench/statistics.hpp"

#include <algorithm>
#include <cmath>

namespace petnet::bench {
namespace {

// Between the tenth and the ninth of ten, of the median: what runs but one or two lie within. (Half of them,
// between the quartiles, may all have met a quiet moment on a busy machine.)
double spread_of(const std::vector<double>& seconds) {
    return (quantile(seconds, 0.9) - quantile(seconds, 0.1)) / median_of(seconds);
}

} // namespace

const char* name_of(verdict v) noexcept {
    switch (v) {
    case verdict::same:
        return "SAME";
    case verdict::faster:
        return "FASTER";
    case verdict::slower:
        return "SLOWER";
    case verdict::unclear:
        break;
    }
    return "UNCLEAR";
}

judgement judge(const case_runs& runs, const limits& allowed) {
    std::vector<double> all_base = runs.base;
    all_base.insert(all_base.end(), runs.base_again.begin(), runs.base_again.end());
    const double base = median_of(all_base), head = median_of(runs.head);
    const double between_same = std::abs(median_of(runs.base_again) / median_of(runs.base) - 1);
    const double spread = std::max(spread_of(all_base), spread_of(runs.head));

    judgement found{.base_seconds = base,
                    .head_seconds = head,
                    .noise = std::max(between_same, spread),
                    .p = rank_test(runs.head, all_base)};
    const double change = std::abs(found.change());
    const double least = std::max(allowed.change, allowed.timer_seconds / base); // that counts as a change
    if (change > std::max(least, found.noise) && found.p < allowed.p)
        found.found = head > base ? verdict::slower : verdict::faster;
    else if (std::max(change, found.noise) <= least)
        found.found = verdict::same;
    return found;
}

} // namespace petnet::bench
