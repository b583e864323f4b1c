// SPDX-License-Identifier: Apache-2.0
#include "train/ranks/summation.hpp"

#include "base/errors.hpp"
#include "train/ranks/connection.hpp"

#include <chrono>
#include <cstddef>
#include <sys/socket.h>
#include <utility>

namespace petnet::ranks {
namespace {

class tcp_summation final : public summation {
  public:
    tcp_summation(int rank, std::vector<descriptor> connections, control_channel& watch)
        : rank_(static_cast<std::size_t>(rank)),
          connections_(std::move(connections)),
          watch_(watch),
          parts_(connections_.size()) {
        // The connections live until the watch is over: the communicator destroys this after it.
        watch.on_loss([this] {
            for (const descriptor& each : connections_)
                if (each.is_open()) ::shutdown(each.get(), SHUT_RDWR);
        });
    }

    [[nodiscard]] std::string name() const override { return "tcp"; }

    void sum(std::span<float> values) override {
        const std::span<float> own = part(values, rank_);
        exchange([&](std::size_t peer, transfer& with) {
            parts_[peer].resize(own.size());
            with.out = std::as_bytes(part(values, peer));
            with.in = std::as_writable_bytes(std::span(parts_[peer]));
        });
        parts_[rank_].assign(own.begin(), own.end());
        std::copy(parts_[0].begin(), parts_[0].end(), own.begin());
        for (std::size_t from = 1; from < parts_.size(); ++from)
            for (std::size_t i = 0; i < own.size(); ++i) own[i] += parts_[from][i];
        exchange([&](std::size_t peer, transfer& with) {
            with.out = std::as_bytes(own);
            with.in = std::as_writable_bytes(part(values, peer));
        });
    }

  private:
    // Those that a rank adds up.
    [[nodiscard]] std::span<float> part(std::span<float> values, std::size_t rank) const {
        const std::size_t ranks = connections_.size();
        const std::size_t begin = values.size() * rank / ranks, end = values.size() * (rank + 1) / ranks;
        return values.subspan(begin, end - begin);
    }

    template <class Describe> void exchange(const Describe& describe) {
        transfers_.clear();
        for (std::size_t peer = 0; peer < connections_.size(); ++peer) {
            if (peer == rank_) continue;
            transfers_.push_back({.connection = connections_[peer].get()});
            describe(peer, transfers_.back());
        }
        const auto ended = transfer_all(transfers_);
        if (!ended) return;
        // Who is gone, the watch knows a moment later at the latest.
        using namespace std::chrono_literals;
        const std::size_t peer = *ended < rank_ ? *ended : *ended + 1;
        throw environment_error(
            watch_.why_lost(3s).value_or("the connection to rank " + std::to_string(peer) + " was lost"));
    }

    std::size_t rank_;
    std::vector<descriptor> connections_;
    control_channel& watch_;
    std::vector<std::vector<float>> parts_; // of this rank's part: what each rank has
    std::vector<transfer> transfers_;
};

} // namespace

std::unique_ptr<summation> make_tcp_summation(int rank, std::vector<descriptor> connections,
                                              control_channel& watch) {
    return std::make_unique<tcp_summation>(rank, std::move(connections), watch);
}

} // namespace petnet::ranks
