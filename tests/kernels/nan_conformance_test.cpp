// SPDX-License-Identifier: Apache-2.0
// A NaN comes out wherever it went in, on every backend: a training that has diverged must not look like one
// of zeros.
#include "tests/kernels/conformance_fixture.hpp"

#include <gtest/gtest.h>

#include <limits>

namespace petnet::testing {
namespace {

class nan_conformance_test : public conformance_test {
  protected:
    // Values of both signs, of which some are NaN: no two of them in a plane.
    static tensor_view partly_nan(test_tensors& tensors, const shape& dims) {
        std::vector<double> values(static_cast<std::size_t>(dims.elements()));
        for (std::size_t i = 0; i < values.size(); ++i)
            values[i] = i % 257 == 7 ? std::numeric_limits<double>::quiet_NaN()
                                     : static_cast<double>(i * 37 % 127) / 64 - 1;
        return tensors.input(dims, values);
    }
    static tensor_view ones(test_tensors& tensors, const shape& dims) {
        return tensors.input(dims, std::vector<double>(static_cast<std::size_t>(dims.elements()), 1));
    }

    // Whole vectors and packs of channels, and parts of them.
    const std::vector<shape> dims_{{2, 3, 9, 11}, {1, 24, 11, 13}};
};

TEST_P(nan_conformance_test, of_batch_norm_inference) {
    for (const shape& dims : dims_)
        for (const bool relu : {false, true})
            for (const bool adds : {false, true})
                expect([&](test_tensors& tensors) -> operation_params {
                    const shape channels{dims[1]};
                    const tensor_view x = partly_nan(tensors, dims);
                    return batch_norm_inference{.x = x,
                                                .gamma = ones(tensors, channels),
                                                .beta = ones(tensors, channels),
                                                .running_mean = ones(tensors, channels),
                                                .running_variance = ones(tensors, channels),
                                                .residual = adds ? ones(tensors, dims) : tensor_view{},
                                                .y = like(tensors, x),
                                                .saved = {},
                                                .relu = relu};
                });
}

TEST_P(nan_conformance_test, of_pooling) {
    for (const shape& dims : dims_) {
        const shape half{dims[0], dims[1], (dims[2] - 1) / 2 + 1, (dims[3] - 1) / 2 + 1};
        for (const bool normalises : {false, true})
            expect([&](test_tensors& tensors) -> operation_params {
                return max_pool_forward{.x = partly_nan(tensors, dims),
                                        .saved = normalises ? ones(tensors, {4, dims[1]}) : tensor_view{},
                                        .y = tensors.output(half),
                                        .argmax = {}};
            });
        expect([&](test_tensors& tensors) -> operation_params {
            return concat_pool_forward{partly_nan(tensors, dims), tensors.output(shape{dims[0], 2 * dims[1]}),
                                       tensors.output(tensor_desc{dtype::i32, {dims[0], dims[1]}})};
        });
    }
}

INSTANTIATE_TEST_SUITE_P(every_backend, nan_conformance_test, ::testing::ValuesIn(backends_and_dtypes()),
                         conformance_test::case_name);

} // namespace
} // namespace petnet::testing
