// SPDX-License-Identifier: Apache-2.0
// What happens at start where the GPU's memory is short. On the host's emulation of CUDA, whose convolutions
// ask for a workspace of 4096 bytes, and less when told to (tests/kernels/cuda/plain_convolutions.hpp).
#include "train/phase_plans.hpp"

#include "base/errors.hpp"
#include "cuda_host/control.hpp"
#include "tests/kernels/cuda/plain_convolutions.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace petnet::train {
namespace {

using kernels::cuda::largest_plain_workspace;
using kernels::cuda::smallest_plain_workspace;
using ::testing::AllOf;
using ::testing::Each;
using ::testing::HasSubstr;
using ::testing::SizeIs;
using ::testing::ThrowsMessage;

class cuda_phase_plans : public ::testing::Test {
  protected:
    ~cuda_phase_plans() override { cuda_host::reset(); }

    // With this much memory less than all that it takes.
    [[nodiscard]] std::unique_ptr<phase_plans> make_with(std::size_t missing) {
        cuda_host::set_memory(all_ - missing);
        warnings_.clear();
        return make();
    }
    [[nodiscard]] std::unique_ptr<phase_plans> make() {
        return make_phase_plans(parameters_, network_, options_,
                                [this](const std::string& line) { warnings_.push_back(line); });
    }

    std::unique_ptr<kernels::backend> device_ = kernels::make_backend("cuda");
    model::network network_ =
        model::make_resnet({.stem_channels = 8, .stage_channels = {8}, .stage_blocks = {1}, .head_width = 8});
    model::parameters parameters_{*device_, network_, kernels::dtype::f16};
    model::plan_options options_{.batch = 20, .height = 16, .width = 16, .activations = kernels::dtype::f16};
    std::vector<std::string> warnings_;
    std::size_t all_ = [this] {
        const auto plans = make();
        return cuda_host::in_use().device_bytes;
    }();
};

TEST_F(cuda_phase_plans, fit_where_there_is_just_enough) {
    EXPECT_TRUE(make_with(0));
    EXPECT_THAT(warnings_, SizeIs(0));
}

TEST_F(cuda_phase_plans, make_do_with_smaller_workspaces) {
    const auto plans = make_with(1);
    EXPECT_EQ(plans->training.workspace_bytes(), largest_plain_workspace / 2);
    EXPECT_THAT(warnings_, AllOf(SizeIs(1), Each(HasSubstr("workspace"))));
}

TEST_F(cuda_phase_plans, are_refused_where_the_smallest_workspaces_are_too_large) {
    const std::size_t in_workspaces = 2 * (largest_plain_workspace - smallest_plain_workspace);
    EXPECT_TRUE(make_with(in_workspaces));
    EXPECT_THAT(warnings_, SizeIs(2));
    EXPECT_THAT([&] { (void)make_with(in_workspaces + 1); },
                ThrowsMessage<environment_error>(
                    AllOf(HasSubstr("for batches of 20 photographs"), HasSubstr("--batch-size 17"))));
}

TEST_F(cuda_phase_plans, are_refused_at_once_where_tensors_do_not_fit) {
    EXPECT_THAT([&] { (void)make_with(all_ / 2); },
                ThrowsMessage<environment_error>(HasSubstr("for batches of 20 photographs")));
    EXPECT_THAT(warnings_, SizeIs(0));
}

// A block's inner batch norm has no tensor where the convolution after it reads through it.
TEST_F(cuda_phase_plans, take_less_where_convolutions_read_through_batch_norms) {
    const auto bytes = [&](kernels::fusion fuse) {
        const auto device = kernels::make_backend("cuda", {.fuse = fuse});
        model::parameters parameters(*device, network_, kernels::dtype::f16);
        return model::plan(parameters, network_, options_).memory_bytes();
    };
    const std::size_t tensor = 20UL * 8 * 4 * 4 * 2; // of the one block, behind the stem's two strides
    EXPECT_EQ(bytes(kernels::fusion::never) - bytes(kernels::fusion::always), tensor);
}

} // namespace
} // namespace petnet::train
