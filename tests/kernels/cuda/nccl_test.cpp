// SPDX-License-Identifier: Apache-2.0
// Gradients are averaged on a stream of their own, after what computes them and before what uses them. On the
// host's emulation of CUDA, with a NCCL that the test makes up.
#include "tests/kernels/cuda/made_up_nccl.hpp"

#include "cuda_host/control.hpp"
#include "kernels/all_reduce.hpp"
#include "kernels/backend.hpp"

#include <gtest/gtest.h>

#include <memory>
#include <span>
#include <vector>

namespace petnet::testing {
namespace {

using namespace kernels;

class cuda_nccl : public ::testing::TestWithParam<bool> {
  protected:
    cuda_nccl() { cuda::nccl = {.of_peer = 10, .at_once = GetParam()}; }
    ~cuda_nccl() override { cuda_host::reset(); }

    [[nodiscard]] tensor_view floats() {
        tensor_view view{{dtype::f32, {1, 3}}};
        memory_.push_back(device_->allocate(device_->storage_bytes(view.desc)));
        view.data = memory_.back().get();
        return view;
    }
    // y = dropout(x) with nothing dropped: a copy.
    [[nodiscard]] std::unique_ptr<operation> copy(const tensor_view& x, const tensor_view& y) {
        tensor_view keys{{dtype::u64, {1}}};
        memory_.push_back(device_->allocate(device_->storage_bytes(keys.desc)));
        keys.data = memory_.back().get();
        device_->clear(keys);
        return device_->prepare(dropout{x, keys, y, 0.0, 0});
    }

    std::unique_ptr<backend> device_ = make_backend("cuda");
    std::vector<device_memory> memory_;
};

TEST_P(cuda_nccl, averages_what_was_computed_before_what_comes_after) {
    const auto averages = device_->make_all_reduce({0, 2, [](std::span<std::byte>) {}});
    const tensor_view x = floats(), gradient = floats(), y = floats();
    device_->clear(gradient);
    device_->clear(y);
    const auto compute = copy(x, gradient), begin = averages->begin({gradient}), finish = averages->finish(),
               use = copy(gradient, y);
    for (const double value : {2.0, 4.0}) {
        device_->upload(x, std::vector<double>(3, value));
        compute->execute(nullptr);
        begin->execute(nullptr);
        finish->execute(nullptr);
        use->execute(nullptr);
        std::vector<float> read(3);
        device_->read(y, std::span<float>(read));
        EXPECT_EQ(read, std::vector<float>(3, static_cast<float>((value + 10) / 2)));
    }
}

INSTANTIATE_TEST_SUITE_P(sums, cuda_nccl, ::testing::Bool(),
                         [](const auto& at_once) { return at_once.param ? "at_once" : "late"; });

} // namespace
} // namespace petnet::testing
