// SPDX-License-Identifier: Apache-2.0
// All that petnet-bench times.
#pragma once

#include "bench/bench_case.hpp"
#include "kernels/backend.hpp"

#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>
#include <vector>

namespace petnet::bench {

struct suite_options {
    std::string device = "auto";
    std::vector<std::string> precisions; // fp32, tf32, bf16, fp16
    std::vector<std::int64_t> batches;
    std::vector<int> threads;          // of the processor; 0: all that the process may use
    std::int64_t size = 224;           // of a photograph, pixels
    std::filesystem::path photographs; // a folder
};

// For each combination: every operation of the steps' plans (one of each kind and shape) and the
// steps themselves; once: an operation that does nothing (not on a GPU), the photo path and a checkpoint. The
// cases are described, nothing is prepared yet. Steps share devices and plans, of which one is open at a
// time: run them in this order.
[[nodiscard]] std::vector<std::unique_ptr<bench_case>> make_suite(const suite_options& options);

// Parts of it, in harness_case.cpp, plan_cases.cpp, photo_cases.cpp and checkpoint_case.cpp.
using case_list = std::vector<std::unique_ptr<bench_case>>;
void add_harness_case(case_list& to, const suite_options& options);
void add_plan_cases(case_list& to, const suite_options& options);
void add_photo_cases(case_list& to, const std::filesystem::path& photographs, std::int64_t size);
void add_checkpoint_case(case_list& to);

} // namespace petnet::bench
