// SPDX-License-Identifier: Apache-2.0
// Which of several plans is the fastest, by their times. Plain C++: the clock is the caller's.
#pragma once

#include <cstddef>
#include <functional>

namespace petnet::kernels::cuda {

struct timing_rules {
    int rounds = 11;       // samples of a plan that is not out of the race before
    double hopeless = 1.5; // out of the race: its best sample is so many times the best one of all
    double margin = 0.03;  // the first plan stays unless another one's median is lower by more than this
};

// The times of `plans` plans are taken in rounds, each plan once in a round, so that a clock that drifts hits
// all alike. `milliseconds_of(i)` runs plan i once; infinity: it does not work. Plan 0 is the one that
// cuDNN's heuristics put first: noise alone must not replace it. Returns the choice; `plans` where none
// works.
[[nodiscard]] std::size_t choose_plan(std::size_t plans,
                                      const std::function<double(std::size_t)>& milliseconds_of,
                                      const timing_rules& rules = {});

} // namespace petnet::kernels::cuda
