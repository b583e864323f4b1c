// SPDX-License-Identifier: Apache-2.0
// The clock and the emptied caches of every backend.
#include "kernels/timing.hpp"
#include "tests/kernels/backends.hpp"
#include "tests/support/test_tensors.hpp"

#include <gtest/gtest.h>

namespace petnet::testing {
namespace {

class timing : public ::testing::TestWithParam<std::string> {
  protected:
    std::unique_ptr<backend> device_ = make_backend(GetParam());
};

TEST_P(timing, is_of_the_work_between_start_and_stop) {
    test_tensors tensors(*device_, dtype::f32, dtype::f32);
    const linear_forward op{tensors.input("x", {8, 256}), tensors.input("w", {64, 256}),
                            tensors.output({8, 64}), false};
    const auto prepared = tensors.prepare(op);
    const auto watch = make_stopwatch(*device_);
    watch->start();
    tensors.execute(*prepared);
    watch->stop();
    const double seconds = watch->seconds();
    EXPECT_GE(seconds, 0);
    EXPECT_LT(seconds, 60);
    EXPECT_EQ(watch->seconds(), seconds);
    watch->start();
    watch->stop();
    EXPECT_GE(watch->seconds(), 0);
}

TEST_P(timing, evicts_without_a_change) {
    test_tensors tensors(*device_, dtype::f32, dtype::f32);
    const tensor_view x = tensors.input("x", {33, 257});
    const std::vector<double> before = tensors.values(x);
    evict(*device_, {x.data, device_->storage_bytes(x.desc)});
    evict(*device_, {});
    EXPECT_EQ(tensors.values(x), before);
    EXPECT_TRUE(tensors.guards_intact());
}

INSTANTIATE_TEST_SUITE_P(every_backend, timing, ::testing::ValuesIn(available_backends()),
                         [](const auto& tested) { return test_name(tested.param); });

} // namespace
} // namespace petnet::testing
