// SPDX-License-Identifier: Apache-2.0
// Counter-based random numbers: a draw is a pure function of its key and its index, so no result depends
// on the order of threads, and nothing about the generator has to be saved in a checkpoint.
// The mixing function is the finaliser of splitmix64 (Steele, Lea, Flood 2014: "Fast splittable
// pseudorandom number generators", variant 13 of Stafford's mixers).
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

namespace petnet {

[[nodiscard]] constexpr std::uint64_t splitmix64_finalise(std::uint64_t z) noexcept {
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9ULL;
    z = (z ^ (z >> 27)) * 0x94D049BB133111EBULL;
    return z ^ (z >> 31);
}

// FNV-1a, 64 bits: names to keys.
[[nodiscard]] constexpr std::uint64_t fnv1a_64(std::string_view text) noexcept {
    std::uint64_t hash = 0xcbf29ce484222325ULL;
    for (char c : text) hash = (hash ^ static_cast<unsigned char>(c)) * 0x100000001b3ULL;
    return hash;
}

// Names one stream of draws, e.g. random_key(seed).child("dropout").child(epoch).child(image).
class random_key {
  public:
    constexpr explicit random_key(std::uint64_t seed) noexcept : state_(splitmix64_finalise(seed + golden)) {}
    [[nodiscard]] constexpr random_key child(std::uint64_t index) const noexcept {
        return from_state(splitmix64_finalise(state_ ^ splitmix64_finalise((index + 1) * golden)));
    }
    [[nodiscard]] constexpr random_key child(std::string_view name) const noexcept {
        return child(fnv1a_64(name));
    }

    // 64 uniform bits; draws with different indices are independent.
    [[nodiscard]] constexpr std::uint64_t bits(std::uint64_t index) const noexcept {
        return splitmix64_finalise(state_ + (index + 1) * golden);
    }
    // Uniform in [0, 1), 53 bits.
    [[nodiscard]] constexpr double uniform(std::uint64_t index) const noexcept {
        return static_cast<double>(bits(index) >> 11) * 0x1p-53;
    }
    // Standard normal (Box-Muller over draws 2*index and 2*index+1).
    [[nodiscard]] double normal(std::uint64_t index) const noexcept;

    // The key itself, to hand a stream of draws to a kernel.
    [[nodiscard]] constexpr std::uint64_t value() const noexcept { return state_; }
    [[nodiscard]] static constexpr random_key from_state(std::uint64_t state) noexcept {
        random_key key(0);
        key.state_ = state;
        return key;
    }

  private:
    static constexpr std::uint64_t golden = 0x9E3779B97F4A7C15ULL;
    std::uint64_t state_;
};

// A uniform random permutation of 0 .. count-1 (Fisher-Yates).
[[nodiscard]] std::vector<std::size_t> random_permutation(std::size_t count, random_key key);

} // namespace petnet
