// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "tests/app/folders.hpp"
#include "train/ranks/connection.hpp"

#include <chrono>
#include <memory>
#include <string>
#include <vector>

namespace petnet::testing {

// The same command in several processes, with torchrun's variables beside those of `where`.
class crew {
  public:
    crew(int size, const arguments& words, surroundings where = {}) {
        where.environment["WORLD_SIZE"] = where.environment["LOCAL_WORLD_SIZE"] = std::to_string(size);
        where.environment["MASTER_ADDR"] = "127.0.0.1";
        where.environment["MASTER_PORT"] = std::to_string(ranks::port_of(port_));
        for (int rank = 0; rank < size; ++rank) {
            where.environment["RANK"] = where.environment["LOCAL_RANK"] = std::to_string(rank);
            members_.push_back(std::make_unique<program>(words, where));
        }
    }
    [[nodiscard]] program& member(int rank) { return *members_[static_cast<std::size_t>(rank)]; }
    std::vector<outcome> end() {
        std::vector<outcome> all;
        for (const auto& each : members_) all.push_back(each->end());
        return all;
    }

  private:
    descriptor port_ = ranks::hold_port(0);
    std::vector<std::unique_ptr<program>> members_;
};

} // namespace petnet::testing
