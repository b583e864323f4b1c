// SPDX-License-Identifier: Apache-2.0
#include "bench/measure.hpp"

#include <benchmark/benchmark.h>
#include <exception>

namespace petnet::bench {
namespace {

// The table and the record are ours.
class silent_reporter final : public benchmark::BenchmarkReporter {
  public:
    bool ReportContext(const Context&) override { return true; }
    void ReportRuns(const std::vector<Run>&) override {}
};

// One case's two benchmarks, NAME/hot and NAME/cold, which run one after the other.
class case_run {
  public:
    case_run(bench_case& tested, const measure_options& options, std::exception_ptr& failure)
        : case_(tested), options_(options), failure_(failure) {}

    void run(benchmark::State& state, double (bench_case::*sample)(), std::vector<double>& samples) {
        try {
            if (failure_) return state.SkipWithError("an earlier one failed");
            prepare();
            if (!result_.failure.empty()) return state.SkipWithError(result_.failure.c_str());
            for ([[maybe_unused]] auto iteration : state) {
                samples.push_back((case_.*sample)());
                state.SetIterationTime(samples.back());
            }
        } catch (...) {
            failure_ = std::current_exception(); // not through the library
            state.SkipWithError("failed");
        }
    }

    [[nodiscard]] measurement& result() { return result_; }

  private:
    void prepare() {
        case_.prepare();
        if (prepared_) return;
        prepared_ = true;
        result_.clock_seconds = case_.clock_seconds();
        result_.timer_error = case_.timer_error();
        if (!options_.verify || !case_.can_verify()) return;
        result_.failure = case_.verify().value_or("");
        result_.verified = result_.failure.empty();
    }

    bench_case& case_;
    const measure_options& options_;
    std::exception_ptr& failure_;
    measurement result_;
    bool prepared_ = false;
};

} // namespace

void measure(std::span<const std::unique_ptr<bench_case>> cases, const measure_options& options,
             const std::function<void(const bench_case&, const measurement&)>& measured) {
    std::exception_ptr failure;
    silent_reporter silence;
    benchmark::ClearRegisteredBenchmarks();
    for (const std::unique_ptr<bench_case>& each : cases) {
        const case_description& about = each->about();
        const int samples = options.quick ? about.quick_samples : about.samples;
        const auto run = std::make_shared<case_run>(*each, options, failure);
        const auto finish = [&measured, &failure, run, tested = each.get()] {
            if (!failure) measured(*tested, run->result());
        };
        benchmark::RegisterBenchmark((about.name + "/hot").c_str(),
                                     [run, finish, cold = about.has_cold](benchmark::State& state) {
                                         run->run(state, &bench_case::hot, run->result().hot);
                                         if (!cold) finish();
                                     })
            ->Iterations(samples)
            ->UseManualTime();
        if (about.has_cold)
            benchmark::RegisterBenchmark((about.name + "/cold").c_str(),
                                         [run, finish](benchmark::State& state) {
                                             run->run(state, &bench_case::cold, run->result().cold);
                                             finish();
                                         })
                ->Iterations(samples)
                ->UseManualTime();
    }
    benchmark::RunSpecifiedBenchmarks(&silence, "all");
    benchmark::ClearRegisteredBenchmarks();
    if (failure) std::rethrow_exception(failure);
}

std::string benchmark_library() { return "google-benchmark"; }

} // namespace petnet::bench
