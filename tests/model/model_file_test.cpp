// SPDX-License-Identifier: Apache-2.0
// Parameters to and from weight files.
#include "model/model_file.hpp"

#include "base/errors.hpp"
#include "base/float16.hpp"

#include <cstring>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <limits>
#include <memory>

using namespace petnet;

namespace {

class model_file : public ::testing::Test {
  protected:
    struct instance {
        std::unique_ptr<kernels::backend> device;
        model::network network;
        std::unique_ptr<model::parameters> parameters;
    };
    static instance make(const char* backend, std::int64_t classes, std::uint64_t seed) {
        instance made{kernels::make_backend(backend), model::make_resnet({.classes = classes}), nullptr};
        made.parameters =
            std::make_unique<model::parameters>(*made.device, made.network, kernels::dtype::f32);
        model::initialise(*made.parameters, seed);
        return made;
    }
    static model::weight_file file_of(const instance& from, bool moments) {
        return {model::collect_state(*from.parameters, moments), {}};
    }
    static std::vector<float> values(const instance& of, const char* name) {
        const kernels::tensor_view& view = of.parameters->find(name).value;
        std::vector<float> result(static_cast<std::size_t>(view.desc.dims.elements()));
        of.device->read(view, std::span<float>(result));
        return result;
    }
    template <class Call> static std::string message(const Call& call) {
        try {
            call();
        } catch (const input_error& e) {
            return e.what();
        }
        return "no error";
    }
    static void expect_equal(const model::weight_file& a, const model::weight_file& b) {
        ASSERT_EQ(a.tensors.size(), b.tensors.size());
        for (const model::weight_tensor& tensor : a.tensors) {
            const model::weight_tensor* other = b.find(tensor.name);
            ASSERT_NE(other, nullptr) << tensor.name;
            EXPECT_EQ(tensor.shape, other->shape) << tensor.name;
            EXPECT_TRUE(std::ranges::equal(tensor.bytes, other->bytes)) << tensor.name;
        }
    }
};

TEST_F(model_file, state_survives_a_round_trip_between_backends) {
    const instance from = make("reference", 3, 1), to = make("cpu", 3, 2);
    for (const model::parameter& p : from.parameters->trained()) {
        const std::vector<float> moment(static_cast<std::size_t>(p.value.desc.dims.elements()), 0.25F);
        from.device->write(p.m, std::span<const float>(moment));
    }
    model::restore_state(*to.parameters, file_of(from, true), "state");
    expect_equal(file_of(from, true), file_of(to, true));
    EXPECT_EQ(file_of(to, false).find("adam.m.conv1.weight"), nullptr);
}

TEST_F(model_file, a_head_of_other_classes_is_left_as_it_was) {
    const instance from = make("reference", 3, 1), same = make("reference", 3, 2),
                   other = make("reference", 2, 2);
    const std::vector<float> own_head = values(other, "head.fc1.weight");
    EXPECT_TRUE(model::load_weights(*same.parameters, file_of(from, false), "file").head);
    expect_equal(file_of(from, false), file_of(same, false));
    EXPECT_FALSE(model::load_weights(*other.parameters, file_of(from, false), "file").head);
    EXPECT_EQ(values(other, "head.fc1.weight"), own_head);
    EXPECT_EQ(values(other, "layer4.2.conv2.weight"), values(from, "layer4.2.conv2.weight"));
}

TEST_F(model_file, what_differs_is_named) {
    const instance from = make("reference", 2, 1), to = make("reference", 2, 2);
    model::weight_file file = file_of(from, true);
    std::erase_if(file.tensors, [](const auto& t) { return t.name == "adam.v.layer2.0.conv1.weight"; });
    EXPECT_THAT(message([&] { model::restore_state(*to.parameters, file, "the file"); }),
                ::testing::AllOf(::testing::HasSubstr("the file"),
                                 ::testing::HasSubstr("adam.v.layer2.0.conv1.weight is missing")));
    file = file_of(from, false);
    for (model::weight_tensor& tensor : file.tensors)
        if (tensor.name == "layer3.0.downsample.0.weight") tensor.shape = {128, 256, 1, 1};
    EXPECT_THAT(message([&] { static_cast<void>(model::load_weights(*to.parameters, file, "the file")); }),
                ::testing::HasSubstr("layer3.0.downsample.0.weight is 128x256x1x1, expected 256x128x1x1"));
}

// The tensor with `value` at `place`, as the file would hold it with another type.
model::weight_tensor with_value(const model::weight_tensor& tensor, model::weight_dtype dtype,
                                std::size_t place, double value) {
    std::vector<double> values = tensor.to_float64();
    values.at(place) = value;
    auto bytes = std::make_shared<std::vector<std::byte>>(values.size() * model::element_size(dtype));
    const auto put = [&](std::size_t i, const auto& stored) {
        std::memcpy(bytes->data() + i * sizeof stored, &stored, sizeof stored);
    };
    for (std::size_t i = 0; i < values.size(); ++i) {
        const auto single = static_cast<float>(values[i]);
        if (dtype == model::weight_dtype::f64)
            put(i, values[i]);
        else if (dtype == model::weight_dtype::f32)
            put(i, single);
        else if (dtype == model::weight_dtype::f16)
            put(i, half_of_float(single));
        else
            put(i, bfloat16_of_float(single));
    }
    return {tensor.name, dtype, tensor.shape, *bytes, bytes};
}

TEST_F(model_file, values_that_are_not_finite_are_refused) {
    using enum model::weight_dtype;
    const instance from = make("reference", 2, 1), to = make("reference", 2, 2);
    const model::weight_file good = file_of(from, false);
    const double infinite = std::numeric_limits<double>::infinity(),
                 nan_value = std::numeric_limits<double>::quiet_NaN();
    const struct {
        const char* name;
        bool last;
        model::weight_dtype dtype;
        double value;
        const char* what;
    } cases[] = {
        {"conv1.weight", false, f32, nan_value, "1 value that is not finite"},
        {"conv1.weight", true, f16, infinite, "1 value that is not finite"},
        {"layer3.2.conv1.weight", true, bf16, -infinite, "1 value that is not finite"},
        {"layer4.2.bn2.bias", true, f64, nan_value, "1 value that is not finite"},
        {"layer2.0.downsample.1.weight", false, f64, 1e300, "1 value that is not finite"}, // beyond float32
        {"bn1.running_mean", false, f32, -infinite, "1 value that is not finite"},
        {"layer1.0.bn1.running_var", true, f16, nan_value, "1 value that is not finite"},
        {"layer4.2.bn2.running_var", false, f32, -1e-6, "1 negative variance"},
        {"head.fc2.weight", true, f32, nan_value, "1 value that is not finite"},
        {"head.bn1.running_var", true, bf16, -2, "1 negative variance"},
    };
    for (const auto& each : cases) {
        model::weight_file file = good;
        for (model::weight_tensor& tensor : file.tensors)
            if (tensor.name == each.name)
                tensor =
                    with_value(tensor, each.dtype, each.last ? tensor.element_count() - 1 : 0, each.value);
        EXPECT_THAT(
            message([&] { static_cast<void>(model::load_weights(*to.parameters, file, "the file")); }),
            ::testing::StartsWith("the file: " + std::string(each.name) + " has " + each.what + ":"));
    }

    model::weight_file file = good;
    for (model::weight_tensor& tensor : file.tensors)
        if (tensor.name.ends_with("running_mean")) tensor = with_value(tensor, f32, 3, nan_value);
    EXPECT_THAT(
        message([&] { static_cast<void>(model::load_weights(*to.parameters, file, "the file")); }),
        ::testing::HasSubstr("bn1.running_mean has 1 value that is not finite, and 37 more tensors have "
                             "such values"));
}

TEST_F(model_file, a_head_that_is_replaced_may_hold_anything) {
    const instance from = make("reference", 3, 1), to = make("reference", 2, 2);
    model::weight_file file = file_of(from, false);
    for (model::weight_tensor& tensor : file.tensors)
        if (tensor.name == "head.fc2.weight")
            tensor = with_value(tensor, model::weight_dtype::f32, 0, std::numeric_limits<double>::infinity());
    EXPECT_FALSE(model::load_weights(*to.parameters, file, "file").head);
}

TEST_F(model_file, a_state_that_is_not_finite_is_refused) {
    const instance from = make("reference", 2, 1), to = make("reference", 2, 2);
    const std::pair<const char*, double> cases[] = {
        {"adam.m.bn1.weight", std::numeric_limits<double>::quiet_NaN()},
        {"adam.v.head.fc1.weight", std::numeric_limits<double>::infinity()},
        {"adam.v.conv1.weight", -1},
        {"layer1.0.bn1.running_var", -1}};
    for (const auto& [name, value] : cases) {
        model::weight_file file = file_of(from, true);
        for (model::weight_tensor& tensor : file.tensors)
            if (tensor.name == name) tensor = with_value(tensor, model::weight_dtype::f32, 5, value);
        EXPECT_THAT(message([&] { model::restore_state(*to.parameters, file, "the file"); }),
                    ::testing::HasSubstr("the file: " + std::string(name) + " has 1 "));
    }
}

} // namespace
