// SPDX-License-Identifier: Apache-2.0
// The processes (ranks) of one training, and what they tell each other.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace petnet::ranks {

// All ranks make the same calls in the same order. Where a rank is gone, or another one failed, each call of
// the others throws environment_error, which says so in one line; none waits for ever. One thread at a time,
// but for all_reduce, which may be called from one other thread meanwhile.
class communicator {
  public:
    communicator() = default;
    communicator(const communicator&) = delete; // owns connections
    communicator& operator=(const communicator&) = delete;
    virtual ~communicator() = default;

    [[nodiscard]] virtual int rank() const = 0; // from 0
    [[nodiscard]] virtual int size() const = 0;
    [[nodiscard]] bool leads() const { return rank() == 0; } // writes, prints and tracks for all

    // Each value becomes its sum over the ranks: the same bits in all of them, and in every run of as many.
    virtual void all_reduce(std::span<float> values) = 0;
    [[nodiscard]] virtual std::uint64_t bytes_reduced() const = 0; // of values, so far
    [[nodiscard]] virtual std::string transport() const = 0;       // that sums: "tcp", "mpi"

    // The bytes of rank 0, in all.
    virtual void broadcast(std::span<std::byte> bytes) = 0;
    // In rank 0: what each rank gave, in their order; empty in the others.
    [[nodiscard]] virtual std::vector<std::vector<std::byte>> gather(std::span<const std::byte> bytes) = 0;
    // Each bit that is set in any rank.
    [[nodiscard]] virtual std::uint32_t any(std::uint32_t bits) = 0;

    // The end of the training: returns when all ranks are here.
    virtual void leave() = 0;
    // This rank fails and says why; the others learn it from their next call. Never throws.
    virtual void fail(std::string_view why) noexcept = 0;
};

// One process. It has nobody to wait for.
[[nodiscard]] communicator& alone();

} // namespace petnet::ranks
