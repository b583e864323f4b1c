// SPDX-License-Identifier: Apache-2.0
// A test of an operation on each backend and each dtype of activations that it may have.
#pragma once

#include "tests/kernels/backends.hpp"
#include "tests/kernels/conformance.hpp"

#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <tuple>
#include <vector>

namespace petnet::testing {

// Batch and features: odd and even, few and many, also more rows than a block of threads has.
inline const std::vector<shape> features{{2, 1}, {3, 7}, {6, 20}, {5, 64}, {2, 1024}, {67, 33}};

// An output like the tensor, where it is wanted.
[[nodiscard]] inline tensor_view like(test_tensors& tensors, const tensor_view& view, bool wanted = true) {
    return wanted ? tensors.output(view.desc) : tensor_view{};
}

// What a backend never has is left out (16 bits in double precision, float16 on a CPU); what this machine
// has not is skipped, and says so.
[[nodiscard]] inline std::vector<std::tuple<std::string, dtype>> backends_and_dtypes() {
    std::vector<std::tuple<std::string, dtype>> all;
    for (const std::string& name : available_backends())
        for (const dtype type : {dtype::f32, dtype::bf16, dtype::f16})
            if (type == dtype::f32 || (name != "reference-double" && !(name == "cpu" && type == dtype::f16)))
                all.emplace_back(name, type);
    return all;
}

class conformance_test : public ::testing::TestWithParam<std::tuple<std::string, dtype>> {
  public:
    // Of a tested backend and dtype, for INSTANTIATE_TEST_SUITE_P.
    static std::string case_name(const ::testing::TestParamInfo<std::tuple<std::string, dtype>>& tested) {
        return test_name(std::get<0>(tested.param)) + "_" + name_of(std::get<1>(tested.param));
    }

  protected:
    void SetUp() override {
        if (!backend_->supports(activations_))
            GTEST_SKIP() << backend_->name() << " has no native " << name_of(activations_);
    }
    void expect(const operation_builder& build) { expect_conformance(*backend_, activations_, build); }

    std::unique_ptr<backend> backend_ = make_backend(std::get<0>(GetParam()));
    dtype activations_ = std::get<1>(GetParam());
};

} // namespace petnet::testing
