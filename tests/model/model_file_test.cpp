// SPDX-License-Identifier: Apache-2.0
// Parameters to and from weight files.
#include "model/model_file.hpp"

#include "base/errors.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
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
    const auto message = [&](const auto& call) -> std::string {
        try {
            call();
        } catch (const input_error& e) {
            return e.what();
        }
        return "no error";
    };
    EXPECT_THAT(message([&] { model::restore_state(*to.parameters, file, "the file"); }),
                ::testing::AllOf(::testing::HasSubstr("the file"),
                                 ::testing::HasSubstr("adam.v.layer2.0.conv1.weight is missing")));
    file = file_of(from, false);
    for (model::weight_tensor& tensor : file.tensors)
        if (tensor.name == "layer3.0.downsample.0.weight") tensor.shape = {128, 256, 1, 1};
    EXPECT_THAT(message([&] { static_cast<void>(model::load_weights(*to.parameters, file, "the file")); }),
                ::testing::HasSubstr("layer3.0.downsample.0.weight is 128x256x1x1, expected 256x128x1x1"));
}

} // namespace
