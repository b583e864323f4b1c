// SPDX-License-Identifier: Apache-2.0
#include "kernels/cuda/plan_choice.hpp"

#include <algorithm>
#include <cmath>
#include <limits>
#include <vector>

namespace petnet::kernels::cuda {
namespace {

constexpr double never = std::numeric_limits<double>::infinity();

struct runner {
    std::vector<double> times;
    double best = never;
    bool racing = true;

    void sample(double milliseconds) {
        times.push_back(milliseconds);
        best = std::min(best, milliseconds);
        racing = std::isfinite(milliseconds);
    }
    // Of one that left the race early, by hopelessness or failure: infinity.
    [[nodiscard]] double median() const {
        if (!racing || times.empty()) return never;
        std::vector<double> sorted = times;
        const auto middle = sorted.begin() + static_cast<std::ptrdiff_t>(sorted.size() / 2);
        std::ranges::nth_element(sorted, middle);
        return *middle;
    }
};

} // namespace

std::size_t choose_plan(std::size_t plans, const std::function<double(std::size_t)>& milliseconds_of,
                        const timing_rules& rules) {
    std::vector<runner> runners(plans);
    for (int round = 0; round < rules.rounds; ++round) {
        double best = never;
        for (std::size_t i = 0; i < plans; ++i) {
            if (runners[i].racing) runners[i].sample(milliseconds_of(i));
            if (runners[i].racing) best = std::min(best, runners[i].best);
        }
        if (round == 0) continue; // one sample may be bad luck
        for (runner& r : runners) r.racing = r.racing && r.best <= rules.hopeless * best;
    }
    std::size_t choice = plans;
    double bar = plans > 0 ? runners[0].median() : never;
    if (bar < never) {
        choice = 0;
        bar *= 1 - rules.margin;
    }
    for (std::size_t i = 1; i < plans; ++i)
        if (const double median = runners[i].median(); median < bar) {
            choice = i;
            bar = median;
        }
    return choice;
}

} // namespace petnet::kernels::cuda
