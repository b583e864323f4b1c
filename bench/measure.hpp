// SPDX-License-Identifier: Apache-2.0
// Runs cases by google-benchmark.
#pragma once

#include "bench/bench_case.hpp"

#include <functional>
#include <memory>
#include <span>

namespace petnet::bench {

struct measure_options {
    bool quick = false, verify = true;
};

// One after the other; `measured` is called after each. environment_error where this build has no
// google-benchmark.
void measure(std::span<const std::unique_ptr<bench_case>> cases, const measure_options& options,
             const std::function<void(const bench_case&, const measurement&)>& measured);

[[nodiscard]] std::string benchmark_library(); // its name, for the record

} // namespace petnet::bench
