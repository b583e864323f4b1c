// SPDX-License-Identifier: Apache-2.0
// A cuDNN that the tests make up, in the place of cudnn_graph.cpp and cudnn_library.cpp: its plans take the
// time they are told to. And what tests of choices share.
#pragma once

#include "cuda_host/control.hpp"
#include "kernels/cuda/cudnn_convolutions.hpp"
#include "kernels/cuda/error.hpp"
#include "tests/data/test_folder.hpp"

#include <gtest/gtest.h>

#include <cstddef>
#include <functional>
#include <string>
#include <vector>

namespace petnet::kernels::cuda {

struct made_up_plan {
    std::string name;
    double milliseconds = 0;
    std::size_t workspace_bytes = 0;
    bool works = true;
};

// The made-up cuDNN, and what was asked of it.
struct made_up_cudnn {
    std::vector<made_up_plan> plans;
    std::function<void(const convolution_operands&)> compute;
    std::vector<std::string> executed;
    std::size_t workspace_limit = 0;
    bool tf32 = false, has_sums = true;
    int graphs = 0;
};
inline made_up_cudnn cudnn;

class cuda_convolutions : public ::testing::Test {
  protected:
    cuda_convolutions() { cudnn = {.plans = {{"first", 45}, {"second", 12}, {"third", 30}}}; }
    ~cuda_convolutions() override { cuda_host::reset(); }

    [[nodiscard]] cudnn_options options() {
        return {.cache_folder = folder_.path() / "cache",
                .on_warning = [this](const std::string& warning) { warnings_.push_back(warning); }};
    }
    // The plan that a new run takes for a problem.
    [[nodiscard]] std::string taken(const cudnn_options& options) {
        const auto convolve = make_cudnn_convolutions(nullptr, options);
        const auto plan = convolve->plan(problem_);
        cudnn.executed.clear();
        plan->execute({}, nullptr, nullptr);
        check(cudaStreamSynchronize(nullptr), "executing");
        return cudnn.executed.at(0);
    }
    // The plans that are timed when a run starts.
    [[nodiscard]] std::vector<std::string> timed(const cudnn_options& options) {
        cudnn.executed.clear();
        (void)make_cudnn_convolutions(nullptr, options)->plan(problem_);
        return cudnn.executed;
    }

    test::temporary_folder folder_;
    std::vector<std::string> warnings_;
    stored_convolution problem_{convolution_kind::forward, {2, 8, 5, 7, 16, 3, 1, 1}, dtype::bf16};
};

} // namespace petnet::kernels::cuda
