// SPDX-License-Identifier: Apache-2.0
// Something that petnet-bench times: what it is, and how to take one sample.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <vector>

namespace petnet::bench {

struct case_description {
    std::string name;   // "convolution_forward/layer1.0.conv1/fp32/b32/t2": the same from run to run
    std::string group;  // "convolution_forward"
    std::string label;  // "layer1.0.conv1": the first layer that has it
    std::string shapes; // "x 32x64x56x56, w 64x64x3x3"
    std::string precision, phase;
    std::int64_t batch = 0;
    int threads = 0;                   // of the processor; 0: not on it
    std::map<std::string, int> counts; // how often a step of each phase has it
    double bytes = 0, flops = 0; // of one: what has to be moved and computed at least (kernels/cost.hpp)
    double items = 0;            // photographs that one works on; 0: none
    bool has_cold = false;
    int samples = 0, quick_samples = 0;
};

class bench_case {
  public:
    explicit bench_case(case_description about) : about_(std::move(about)) {}
    bench_case(const bench_case&) = delete; // may own files
    bench_case& operator=(const bench_case&) = delete;
    virtual ~bench_case() = default;

    [[nodiscard]] const case_description& about() const { return about_; }

    // Makes all ready that a sample does not count. Called before the first sample, and cheap after that.
    virtual void prepare() {}
    // Why the result is wrong; nothing where it is right or where there is nothing to compare it with.
    [[nodiscard]] virtual std::optional<std::string> verify() { return {}; }
    [[nodiscard]] virtual bool can_verify() const { return false; }
    // Seconds of one, with warm and with emptied caches (where about().has_cold).
    [[nodiscard]] virtual double hot() = 0;
    [[nodiscard]] virtual double cold() { return 0; }
    // Seconds that starting and stopping the clock takes by itself (which samples are without), and by how
    // much that varies: no sample is better known.
    [[nodiscard]] virtual double clock_seconds() const { return 0; }
    [[nodiscard]] virtual double timer_error() const { return 0; }

  private:
    case_description about_;
};

struct measurement {
    std::vector<double> hot, cold; // seconds, as they came
    bool verified = false;
    std::string failure; // not empty: it was not timed, as its result is wrong
    double clock_seconds = 0, timer_error = 0;
};

} // namespace petnet::bench
