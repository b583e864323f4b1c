// SPDX-License-Identifier: Apache-2.0
#include "base/checksum.hpp"

#include "base/random.hpp"

#include <algorithm>
#include <array>
#include <cstring>

namespace petnet {

std::uint64_t checksum_of(std::span<const std::byte> bytes, std::uint64_t seed) noexcept {
    constexpr std::uint64_t prime = 0x100000001b3ULL;
    std::array<std::uint64_t, 4> lanes{seed, 1, 2, 3};
    std::array<std::uint64_t, 4> words{};
    while (!bytes.empty()) {
        const std::size_t count = std::min(bytes.size(), sizeof words);
        if (count < sizeof words) words = {};
        std::memcpy(words.data(), bytes.data(), count);
        for (std::size_t i = 0; i < lanes.size(); ++i) lanes[i] = (lanes[i] ^ words[i]) * prime;
        bytes = bytes.subspan(count);
    }
    std::uint64_t sum = 0;
    for (const std::uint64_t lane : lanes) sum = splitmix64_finalise(sum ^ lane);
    return sum;
}

} // namespace petnet
