// SPDX-License-Identifier: Apache-2.0
// Orders of blocks, warps and lanes.
#pragma once

#include "tests/cuda_host/include/cuda_host/control.hpp"

#include <cstdint>
#include <numeric>
#include <string>

namespace cuda_host {

// splitmix64: small and good enough to shuffle with.
class generator {
  public:
    explicit generator(std::uint64_t seed) : state_(seed) {}
    std::uint64_t operator()() {
        state_ += 0x9E37'79B9'7F4A'7C15ULL;
        std::uint64_t z = state_;
        z = (z ^ (z >> 30)) * 0xBF58'476D'1CE4'E5B9ULL;
        z = (z ^ (z >> 27)) * 0x94D0'49BB'1331'11EBULL;
        return z ^ (z >> 31);
    }
    std::uint64_t below(std::uint64_t bound) { return (*this)() % bound; }

  private:
    std::uint64_t state_;
};

struct schedule {
    order kind = order::random;
    std::uint64_t seed = 0, launches = 0;
};

// A permutation of 0 ... count - 1 that needs no memory: i -> (i stride + offset) mod count.
class permutation {
  public:
    permutation(order kind, std::uint64_t count, generator& random) : count_(count) {
        if (kind == order::reverse) stride_ = offset_ = count - 1; // stride -1
        if (kind != order::random || count == 1) return;
        offset_ = random.below(count);
        do stride_ = 1 + random.below(count - 1);
        while (std::gcd(stride_, count) != 1);
    }
    // count is below 2^32 (products fit), except for grids that nobody waits for.
    [[nodiscard]] std::uint64_t operator[](std::uint64_t index) const {
        return (index * stride_ + offset_) % count_;
    }

  private:
    std::uint64_t count_, stride_ = 1, offset_ = 0;
};

// What orders the next launch, and for error messages how to see it again.
[[nodiscard]] schedule next_schedule();
[[nodiscard]] std::string text(const schedule& how);

} // namespace cuda_host
