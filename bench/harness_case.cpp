// SPDX-License-Identifier: Apache-2.0
// What the harness itself adds to a time: an operation that does nothing, timed as all others are.
#include "bench/calibrated_clock.hpp"
#include "bench/suite.hpp"
#include "kernels/function_operation.hpp"

#include <vector>

namespace petnet::bench {
namespace {

class harness_case final : public bench_case {
  public:
    harness_case(case_description about, std::string device)
        : bench_case(std::move(about)), name_(std::move(device)) {}

    void prepare() override {
        if (clock_) return;
        device_ = kernels::make_backend(name_);
        clock_ = std::make_unique<calibrated_clock>(*device_);
        nothing_ = kernels::make_operation(0, [](std::byte*) {});
        copies_ = device_->sequence(std::vector(copy_count, nothing_.get()));
    }
    [[nodiscard]] double hot() override { return clock_->seconds_of(*copies_, nullptr) / copy_count; }
    [[nodiscard]] double cold() override { return clock_->seconds_of(*nothing_, nullptr); }
    [[nodiscard]] double clock_seconds() const override { return clock_->empty_seconds(); }
    [[nodiscard]] double timer_error() const override { return clock_->error(); }

  private:
    static constexpr int copy_count = 256; // as of the shortest operations

    std::string name_;
    std::unique_ptr<kernels::backend> device_;
    std::unique_ptr<calibrated_clock> clock_;
    std::unique_ptr<kernels::operation> nothing_, copies_;
};

} // namespace

void add_harness_case(case_list& to, const suite_options& options) {
    if (options.device == "cuda") return; // it replays what was launched, and nothing launches nothing
    to.push_back(std::make_unique<harness_case>(case_description{.name = "harness/nothing",
                                                                 .group = "harness",
                                                                 .label = "nothing",
                                                                 .shapes = "an operation that does nothing",
                                                                 .precision = {},
                                                                 .phase = {},
                                                                 .has_cold = true,
                                                                 .samples = 15,
                                                                 .quick_samples = 5},
                                                options.device));
}

} // namespace petnet::bench
