// SPDX-License-Identifier: Apache-2.0
// What an epoch asks of CUDA once each plan has been recorded: copies, launches of the record, and at most
// one wait a step, for the step before. Nothing is allocated, and the device is never without work. On the
// host's emulation of CUDA.
#include "tests/train/cuda_training.hpp"
#include "train/device_photographs.hpp"

#include <gmock/gmock.h>

namespace petnet::train {
namespace {

using ::testing::AnyOf;
using ::testing::Each;
using ::testing::Key;

// Looks at the calls of whole epochs but the first of each phase, and of that one's steps from the fifth on.
class call_watch final : public observer {
  public:
    void on_phase(const training_phase&) override { epoch_ = 0; }
    void on_step_begin() override {
        if (epoch_ == 0 ? step_ == 4 : step_ == 0) begin(step_ == 0 ? 0 : 1);
        ++step_;
        ++work_;
    }
    void on_step(const step_report& step) override {
        if (step.step_in_epoch + 1 < step.steps_in_epoch)
            expect_work();
        else if (epoch_ == 0)
            end(); // its validation records a plan
    }
    void on_validation(std::int64_t done, std::int64_t batches) override {
        if (done < batches) expect_work();
        ++work_;
    }
    void on_epoch(const epoch_report&) override {
        end();
        step_ = 0;
        ++epoch_;
    }
    [[nodiscard]] int windows() const { return windows_; }

  private:
    void begin(std::size_t under_way) {
        before_ = cuda_host::calls();
        work_ = 0;
        under_way_ = under_way;
    }
    void end() {
        if (before_.empty()) return;
        cuda_host::call_counts made = cuda_host::calls();
        for (const auto& [call, count] : before_) made[call] -= count;
        std::erase_if(made, [](const auto& each) { return each.second == 0; });
        EXPECT_GE(made["cudaGraphLaunch"], work_);
        EXPECT_LE(made["cudaEventSynchronize"], under_way_ + work_) << "more than one wait a step";
        EXPECT_THAT(made, Each(Key(AnyOf("cudaGraphLaunch", "cudaMemcpyAsync", "cudaEventRecord",
                                         "cudaStreamWaitEvent", "cudaEventQuery", "cudaEventSynchronize"))));
        before_.clear();
        ++windows_;
    }
    // One step was waited for; the next one is there.
    static void expect_work() { EXPECT_GT(cuda_host::queued(), 0U) << "the device was left without work"; }

    int windows_ = 0;
    std::int64_t epoch_ = 0, step_ = 0;
    std::size_t work_ = 0;      // steps and batches that validate, begun in this window
    std::size_t under_way_ = 0; // begun before
    cuda_host::call_counts before_;
};

struct watched {
    const char* name;
    std::size_t part; // of the photographs, in hundredths
};

class cuda_epochs : public petnet::testing::cuda_training, public ::testing::WithParamInterface<watched> {};

TEST_P(cuda_epochs, allocate_nothing_and_leave_the_device_its_next_step) {
    std::size_t bytes = 0;
    for (std::size_t i = 0; i < photographs; ++i) bytes += device_photographs::bytes_of(*photos_->photo(i));
    bytes =
        device_photographs::least_bytes(photos_->options().image_size, batch) + bytes * GetParam().part / 100;
    const device_run run = begin();
    call_watch watch;
    training_position position;
    EXPECT_TRUE(fine_tuner(setup_of(run, bytes), fine_tune_phases(2, 2e-3, 2), watch)
                    .run(position, {[] { return false; }, [](const auto&, auto) {}}));
    EXPECT_EQ(watch.windows(), 4);
}

INSTANTIATE_TEST_SUITE_P(photographs_on_the_device, cuda_epochs,
                         ::testing::Values(watched{"none", 0}, watched{"half", 50}, watched{"all", 100}),
                         [](const auto& each) { return std::string(each.param.name); });

} // namespace
} // namespace petnet::train
