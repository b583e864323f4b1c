// SPDX-License-Identifier: Apache-2.0
// In the place of measure.cpp where google-benchmark was not found.
#include "base/errors.hpp"
#include "bench/measure.hpp"

namespace petnet::bench {

void measure(std::span<const std::unique_ptr<bench_case>>, const measure_options&,
             const std::function<void(const bench_case&, const measurement&)>&) {
    throw environment_error(
        "petnet-bench was built without google-benchmark and measures nothing (Debian: libbenchmark-dev)");
}

std::string benchmark_library() { return "none"; }

} // namespace petnet::bench
