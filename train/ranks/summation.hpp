// SPDX-License-Identifier: Apache-2.0
// How values are summed over ranks: one class for each way to carry them.
#pragma once

#include "base/descriptor.hpp"
#include "train/ranks/control_channel.hpp"

#include <memory>
#include <span>
#include <string>
#include <vector>

namespace petnet::ranks {

class summation {
  public:
    summation() = default;
    summation(const summation&) = delete; // owns connections
    summation& operator=(const summation&) = delete;
    virtual ~summation() = default;
    // communicator::all_reduce. environment_error where a rank is gone.
    virtual void sum(std::span<float> values) = 0;
    [[nodiscard]] virtual std::string name() const = 0;
    virtual void leave() {} // all ranks are done
};

// Over a connection to each other rank; by rank, closed for this one. Each rank adds up its part of the
// values, in the order of ranks, and gives the sums to all: 2 (size - 1) / size of the bytes go out, as many
// come in. `watch` outlives it.
[[nodiscard]] std::unique_ptr<summation> make_tcp_summation(int rank, std::vector<descriptor> connections,
                                                            control_channel& watch);

} // namespace petnet::ranks
