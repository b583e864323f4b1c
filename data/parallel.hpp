// SPDX-License-Identifier: Apache-2.0
// Work over the photographs of a folder that takes all cores.
#pragma once

#include <cstddef>
#include <functional>

namespace petnet::data {

// Calls `act` for every number below `count`, in runs of `chunk` handed out in order to at most `threads`
// threads (0: one for each core). Rethrows what a call threw, after the other threads have ended.
void for_each_in_parallel(std::size_t count, std::size_t chunk, unsigned threads,
                          const std::function<void(std::size_t)>& act);

} // namespace petnet::data
