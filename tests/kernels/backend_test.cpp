// SPDX-License-Identifier: Apache-2.0
// Backends by name, and the memory and layouts of each.
#include "base/errors.hpp"
#include "tests/kernels/backends.hpp"
#include "tests/support/fill.hpp"
#include "tests/support/test_tensors.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

// The address sanitizer would end the program where an allocation fails.
extern "C" [[gnu::visibility("default")]] const char*
__asan_default_options() { // NOLINT(clang-diagnostic-reserved-identifier): its name
    return "allocator_may_return_null=1";
}

namespace petnet::testing {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::ThrowsMessage;

TEST(make_backend_test, refuses_unknown_names_with_the_known_ones) {
    for (const char* name :
         {"", "tpu", "check:", "check:reference", "check:reference,tpu", "check:check:cpu,cpu"})
        EXPECT_THAT([&] { static_cast<void>(make_backend(name)); },
                    ThrowsMessage<usage_error>(
                        AllOf(HasSubstr("auto, cuda, cpu, reference"), HasSubstr("check:A,B"))))
            << name;
}

TEST(make_backend_test, finds_each_by_its_name) {
    for (const std::string& name : available_backends()) EXPECT_EQ(make_backend(name)->name(), name);
    EXPECT_EQ(make_backend("check:reference-double,reference")->name(), "check:reference-double,reference");
    EXPECT_EQ(make_backend("auto")->name(), available_backends().front());
}

TEST(make_backend_test, says_why_a_backend_is_not_there) {
    for (const backend_status& status : list_backends()) {
        EXPECT_FALSE(status.text.empty()) << status.name;
        if (status.available) continue;
        EXPECT_THAT([&] { static_cast<void>(make_backend(status.name)); },
                    ThrowsMessage<environment_error>(HasSubstr(status.name)));
    }
}

class backend_test : public ::testing::TestWithParam<std::string> {
  protected:
    std::unique_ptr<backend> backend_ = make_backend(GetParam());
};

TEST_P(backend_test, takes_a_type_that_it_has_as_its_fastest) {
    EXPECT_TRUE(backend_->supports(backend_->fastest())) << name_of(backend_->fastest());
}

TEST_P(backend_test, values_come_back_in_row_major_order_from_every_layout) {
    for (const dtype type : {dtype::f32, dtype::bf16}) {
        if (!backend_->supports(type)) continue;
        test_tensors tensors(*backend_, type, type);
        for (const shape& dims :
             {shape{1, 1, 1, 1}, shape{2, 3, 5, 4}, shape{1, 24, 3, 2}, shape{3, 40, 1, 7}}) {
            const tensor_view view = tensors.output(dims);
            std::vector<float> wide = {};
            for (const double value : normal_values(static_cast<std::size_t>(dims.elements()), "values"))
                wide.push_back(static_cast<float>(rounded_to_bf16(value)));
            backend_->write(view, std::span<const float>(wide));
            std::vector<float> back(wide.size());
            backend_->read(view, std::span(back));
            EXPECT_EQ(back, wide) << dims.text();
            backend_->clear(view);
            EXPECT_EQ(tensors.values(view), std::vector<double>(wide.size())) << dims.text();
        }
        EXPECT_TRUE(tensors.guards_intact());
    }
}

TEST_P(backend_test, weights_come_back_from_every_layout) {
    test_tensors tensors(*backend_, dtype::f32, dtype::f32);
    for (const convolution_shape& shape :
         {convolution_shape{1, 3, 8, 8, 64, 7, 2, 3}, convolution_shape{1, 24, 8, 8, 40, 3, 1, 1},
          convolution_shape{1, 64, 8, 8, 128, 1, 2, 0}, convolution_shape{1, 1, 8, 8, 1, 3, 1, 1}}) {
        const auto values = distinct_values(static_cast<std::size_t>(shape.w().elements()), "w");
        std::vector<double> rounded;
        rounded.reserve(values.size());
        for (const double value : values) rounded.push_back(rounded_to_f32(value));
        EXPECT_EQ(tensors.values(tensors.weights(shape, rounded)), rounded) << shape.w().text();
    }
    EXPECT_TRUE(tensors.guards_intact());
}

TEST_P(backend_test, memory_is_aligned) {
    for (const std::size_t bytes : {1UL, 100UL, 4096UL}) {
        const device_memory memory = backend_->allocate(bytes);
        EXPECT_EQ(reinterpret_cast<std::uintptr_t>(memory.get()) % memory_alignment, 0U);
    }
}

TEST_P(backend_test, asking_for_too_much_memory_is_an_error_of_the_environment) {
    EXPECT_THROW(static_cast<void>(backend_->allocate(std::size_t{1} << 60)), environment_error);
}

INSTANTIATE_TEST_SUITE_P(every_backend, backend_test, ::testing::ValuesIn(available_backends()),
                         [](const auto& tested) { return test_name(tested.param); });

} // namespace
} // namespace petnet::testing
