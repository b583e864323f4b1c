// SPDX-License-Identifier: Apache-2.0
#include "bench/suite.hpp"

namespace petnet::bench {

std::vector<std::unique_ptr<bench_case>> make_suite(const suite_options& options) {
    case_list cases;
    add_harness_case(cases, options);
    add_plan_cases(cases, options);
    add_photo_cases(cases, options.photographs, options.size);
    add_checkpoint_case(cases);
    return cases;
}

} // namespace petnet::bench
