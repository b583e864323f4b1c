// SPDX-License-Identifier: Apache-2.0
// The cuda backend around its kernels: what is copied when, recorded steps, and errors in plain words. On the
// host's emulation of CUDA, whose streams work as late as they may.
#include "base/errors.hpp"
#include "cuda_host/control.hpp"
#include "kernels/cuda/error.hpp"
#include "kernels/cuda/layout.hpp"
#include "tests/support/test_tensors.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstring>
#include <numeric>

namespace petnet::testing {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::ThrowsMessage;

class cuda_backend_test : public ::testing::Test {
  protected:
    ~cuda_backend_test() override { cuda_host::reset(); }

    [[nodiscard]] tensor_view floats(std::int64_t count) {
        tensor_view view{{dtype::f32, {count}}};
        memory_.push_back(backend_->allocate(backend_->storage_bytes(view.desc)));
        view.data = memory_.back().get();
        return view;
    }
    // y = dropout(x) with nothing dropped: a copy.
    [[nodiscard]] std::unique_ptr<operation> copy(const tensor_view& x, const tensor_view& y) {
        tensor_view rows_x = x, rows_y = y, keys{{dtype::u64, {1}}};
        rows_x.desc.dims = rows_y.desc.dims = {1, x.desc.dims[0]};
        memory_.push_back(backend_->allocate(8));
        keys.data = memory_.back().get();
        backend_->clear(keys);
        return backend_->prepare(dropout{rows_x, keys, rows_y, 0.0, 0});
    }
    [[nodiscard]] std::vector<float> values(const tensor_view& view) {
        std::vector<float> read(static_cast<std::size_t>(view.desc.dims.elements()));
        backend_->read(view, std::span<float>(read));
        return read;
    }

    std::unique_ptr<backend> backend_ = make_backend("cuda");
    std::vector<device_memory> memory_;
};

TEST_F(cuda_backend_test, uploads_are_between_the_operations_before_and_after) {
    const tensor_view x = floats(3), first = floats(3), second = floats(3);
    const auto copy_first = copy(x, first), copy_second = copy(x, second);
    std::vector<double> values_to_come{1, 2, 3};
    backend_->upload(x, values_to_come);
    copy_first->execute(nullptr);
    values_to_come = {4, 5, 6}; // the caller's own again
    backend_->upload(x, values_to_come);
    values_to_come = {7, 8, 9};
    copy_second->execute(nullptr);
    EXPECT_GT(cuda_host::queued(), 0U) << "nothing has waited";
    EXPECT_EQ(values(first), (std::vector<float>{1, 2, 3}));
    EXPECT_EQ(values(second), (std::vector<float>{4, 5, 6}));
}

TEST_F(cuda_backend_test, late_reads_are_there_at_their_mark_and_not_before) {
    const tensor_view x = floats(2), y = floats(2);
    const auto step = copy(x, y);
    std::vector<float> first(2, -1), second(2, -1);
    backend_->upload(x, std::vector<double>{1, 2});
    step->execute(nullptr);
    backend_->read_later(y, first);
    const work_mark first_mark = backend_->mark();
    backend_->upload(x, std::vector<double>{3, 4});
    step->execute(nullptr);
    backend_->read_later(y, second);
    const work_mark second_mark = backend_->mark();
    EXPECT_EQ(first, (std::vector<float>{-1, -1}));
    backend_->wait(first_mark);
    EXPECT_EQ(first, (std::vector<float>{1, 2}));
    EXPECT_EQ(second, (std::vector<float>{-1, -1}));
    while (!backend_->reached(second_mark)) {
    }
    EXPECT_EQ(second, (std::vector<float>{3, 4}));
    EXPECT_TRUE(backend_->reached(first_mark));
}

TEST_F(cuda_backend_test, staging_memory_is_used_again) {
    const tensor_view x = floats(5000), fewer = floats(2000), more = floats(6000);
    const std::vector<double> zeros(5000);
    backend_->upload(x, zeros);
    backend_->wait(backend_->mark());
    const cuda_host::usage before = cuda_host::in_use();
    for (int i = 0; i < 20; ++i) {
        for (const tensor_view& to : {x, fewer, more}) { // each alone: the next one finds the memory free
            backend_->upload(to, std::vector<double>(static_cast<std::size_t>(to.desc.dims[0])));
            backend_->wait(backend_->mark());
        }
    }
    EXPECT_EQ(cuda_host::in_use(), before);
}

TEST_F(cuda_backend_test, uploads_that_were_prepared_for_take_no_memory) {
    const tensor_view x = floats(5000), fewer = floats(3000);
    backend_->wait(backend_->mark()); // marks have an event that is used again
    const cuda_host::usage nothing = cuda_host::in_use();
    backend_->prepare_uploads(5000 * sizeof(float));
    const cuda_host::usage before = cuda_host::in_use();
    for (int i = 0; i < 20; ++i) {
        for (const tensor_view& to : {x, fewer})
            backend_->upload(to, std::vector<double>(static_cast<std::size_t>(to.desc.dims[0])));
        backend_->wait(backend_->mark());
    }
    EXPECT_EQ(cuda_host::in_use(), before);
    backend_->prepare_uploads(0);
    EXPECT_EQ(cuda_host::in_use().pinned_allocations, nothing.pinned_allocations) << "given back";
    cuda_host::fail_next("cudaMalloc", cudaErrorMemoryAllocation, 1);
    EXPECT_NO_THROW(backend_->prepare_uploads(1 << 20)) << "one of them, and then it has to do without";
    backend_->upload(x, std::vector<double>(5000, 3));
    EXPECT_EQ(values(x), std::vector<float>(5000, 3));
}

TEST_F(cuda_backend_test, a_sequence_is_recorded_and_replayed_with_what_is_in_memory) {
    const tensor_view x = floats(4), y = floats(4), z = floats(4);
    const auto first = copy(x, y), second = copy(y, z);
    const auto sequence = backend_->sequence({first.get(), second.get()});
    const device_memory workspace = backend_->allocate(sequence->workspace_bytes());
    for (const float value : {1.0F, 2.0F, 3.0F, 4.0F}) {
        backend_->upload(x, std::vector<double>(4, static_cast<double>(value)));
        sequence->execute(workspace.get());
        EXPECT_EQ(values(z), std::vector<float>(4, value));
    }
    EXPECT_EQ(cuda_host::in_use().graphs, 1U);
}

TEST_F(cuda_backend_test, a_sequence_that_cannot_be_recorded_leaves_the_stream_usable) {
    const tensor_view x = floats(4), y = floats(4);
    const auto step = copy(x, y);
    const auto sequence = backend_->sequence({step.get()});
    sequence->execute(nullptr);
    cuda_host::fail_next("cudaLaunchKernelEx", cudaErrorLaunchFailure);
    EXPECT_THROW(sequence->execute(nullptr), environment_error);
    backend_->upload(x, std::vector<double>(4, 2));
    sequence->execute(nullptr);
    EXPECT_EQ(values(y), std::vector<float>(4, 2));
}

TEST_F(cuda_backend_test, weights_carry_a_rounded_copy) {
    const convolution_shape shape{1, 3, 8, 8, 5, 3, 1, 1};
    for (const dtype type : {dtype::bf16, dtype::f16}) {
        test_tensors tensors(*backend_, type, type);
        const tensor_view w = tensors.weights("w", shape);
        const std::vector<std::byte> bytes = tensors.bytes(w);
        ASSERT_EQ(bytes.size(), 8U * 9 * 4 * 6) << "8 of 5 and 4 of 3 channels, 9 taps, 4 + 2 bytes";
        EXPECT_EQ(tensors.values(w).size(), 5U * 3 * 9);
        const bool copied =
            std::any_of(bytes.begin() + static_cast<std::ptrdiff_t>(cuda::rounded_copy_offset(w.desc)),
                        bytes.end(), [](std::byte b) { return b != std::byte{0}; });
        EXPECT_TRUE(copied);
    }
}

// All that is computed from them relies on it.
TEST_F(cuda_backend_test, padding_channels_stay_zero) {
    const shape dims{1, 3, 6, 4}, half{1, 3, 3, 2};
    test_tensors tensors(*backend_, dtype::f32, dtype::f32);
    const tensor_view x = tensors.input("x", dims), y = tensors.output(dims), pooled = tensors.output(half),
                      saved = tensors.input("saved", {4, 3}, 1, 3), vector = tensors.input("of", {3}, 0.1, 1);
    tensors.run(max_pool_forward{.x = x, .saved = saved, .y = pooled, .argmax = {}});
    tensors.run(batch_norm_inference{x, vector, vector, vector, vector, {}, y, {}, true});
    for (const tensor_view& view : {pooled, y}) {
        const std::vector<std::byte> bytes = tensors.bytes(view);
        std::vector<float> stored(bytes.size() / sizeof(float));
        std::memcpy(stored.data(), bytes.data(), bytes.size());
        ASSERT_EQ(stored.size() % 4, 0U);
        for (std::size_t i = 3; i < stored.size(); i += 4) EXPECT_EQ(stored[i], 0) << i;
    }
}

TEST_F(cuda_backend_test, says_what_was_needed_where_memory_is_short) {
    cuda_host::set_memory(std::size_t{1} << 30);
    EXPECT_THAT(
        [&] { static_cast<void>(backend_->allocate(std::size_t{3} << 30)); },
        ThrowsMessage<out_of_device_memory>(AllOf(HasSubstr("3.22 GB were needed"), HasSubstr("free"))));
    EXPECT_NO_THROW(static_cast<void>(backend_->allocate(1000))) << "the error is off the record";
}

struct failure {
    const char* call;
    cudaError_t error;
    const char* words;
};

TEST(cuda_errors, of_a_machine_are_in_plain_words) {
    for (const failure& f :
         {failure{"cudaGetDeviceCount", cudaErrorNoDevice, "no NVIDIA GPU was found"},
          failure{"cudaGetDeviceCount", cudaErrorInsufficientDriver, "update the driver"},
          failure{"cudaGetDeviceCount", cudaErrorSystemDriverMismatch, "restart the machine"},
          failure{"cudaSetDevice", cudaErrorDevicesUnavailable, "another process"}}) {
        cuda_host::set_versions(12040, 13000);
        cuda_host::fail_next(f.call, f.error);
        EXPECT_THAT([] { static_cast<void>(make_backend("cuda")); },
                    ThrowsMessage<environment_error>(
                        AllOf(HasSubstr("the backend cuda is not there"), HasSubstr(f.words))));
        cuda_host::fail_next(f.call, f.error);
        const backend_status status = list_backends().front();
        EXPECT_FALSE(status.available);
        EXPECT_THAT(status.text, HasSubstr(f.words));
        cuda_host::reset();
    }
    cuda_host::set_device_count(0);
    EXPECT_FALSE(list_backends().front().available);
    cuda_host::reset();
    EXPECT_TRUE(list_backends().front().available);
}

TEST(cuda_errors, of_a_gpu_that_fails_on_the_way) {
    const std::unique_ptr<backend> device = make_backend("cuda");
    cuda_host::fail_next("cudaStreamSynchronize", cudaErrorIllegalAddress);
    const device_memory memory = device->allocate(4);
    std::vector<std::byte> bytes(4);
    EXPECT_THAT(
        [&] {
            device->read_bytes({{dtype::f32, {1}}, memory.get()}, bytes);
        },
        ThrowsMessage<environment_error>(AllOf(HasSubstr("reported a fault"), HasSubstr("checkpoint"))));
    cuda_host::reset();
}

} // namespace
} // namespace petnet::testing
