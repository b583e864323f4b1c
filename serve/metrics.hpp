// SPDX-License-Identifier: Apache-2.0
// What the server counts, in Prometheus' text format (version 0.0.4).
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <mutex>
#include <string>
#include <vector>

namespace petnet::serve {

// Counts of values up to each bound, and above the last.
class histogram {
  public:
    explicit histogram(std::vector<double> bounds); // rising
    void add(double value);
    // "NAME_bucket{le="..."} ...", NAME_sum and NAME_count.
    [[nodiscard]] std::string text(const std::string& name) const;

  private:
    std::vector<double> bounds_;
    std::vector<std::uint64_t> counts_;
    double sum_ = 0;
};

// Any thread.
class metrics {
  public:
    void count_answer(int status);       // an answer of any route was sent
    void count_request(double seconds);  // a request for answers, from its head to its answer
    void count_decoding(double seconds); // a photograph
    void count_batch(std::size_t photographs, double seconds);

    // `waiting` photographs are admitted and not answered yet, `most` may be.
    [[nodiscard]] std::string text(std::size_t waiting, std::size_t most) const;

  private:
    mutable std::mutex mutex_;
    std::map<int, std::uint64_t> answers_; // by status
    histogram request_seconds_{{0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10}};
    histogram batch_photographs_{{1, 2, 4, 8, 16, 32, 64, 128}};
    std::uint64_t decoded_ = 0;
    double decode_seconds_ = 0, network_seconds_ = 0;
};

} // namespace petnet::serve
