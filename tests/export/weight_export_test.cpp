// SPDX-License-Identifier: Apache-2.0
// Weights handed on: read back by petnet's own readers, which files written by PyTorch have proved.
#include "export/weight_export.hpp"

#include "base/errors.hpp"
#include "base/files.hpp"
#include "base/float16.hpp"
#include "model/weights/torch_writer.hpp"
#include "model/weights/weight_names.hpp"
#include "tests/infer/made_up_model.hpp"

#include <algorithm>
#include <gmock/gmock.h>

using namespace petnet;

namespace {

class weight_export : public petnet::testing::model_folder {};

bool same_bytes(const model::weight_tensor& a, const model::weight_tensor& b) {
    return a.dtype == b.dtype && a.shape == b.shape && std::ranges::equal(a.bytes, b.bytes);
}

TEST_F(weight_export, as_state_dicts_and_as_halves) {
    petnet::testing::write_made_up_model(at("m"), petnet::testing::description_of_32());
    const exporting::exported_model model = exporting::read_model(at("m"));
    ASSERT_EQ(model.tensors.size(), model::body_weight_names().size() + model::head_weight_names().size());
    const std::size_t batch_norms = 38;
    for (const auto naming : {exporting::weight_naming::torchvision, exporting::weight_naming::fastai}) {
        exporting::write_torch(model, naming, at("t.pth"));
        const model::weight_file file = model::read_weight_file(at("t.pth"));
        ASSERT_EQ(file.tensors.size(), model.tensors.size() + batch_norms);
        std::vector<std::string> names;
        for (const model::weight_tensor& tensor : file.tensors) names.push_back(tensor.name);
        const model::weight_name_mapping mapping = model::map_weight_names(names, "t.pth");
        EXPECT_EQ(mapping.left_out.size(), batch_norms);
        EXPECT_TRUE(mapping.unknown.empty());
        for (const auto& used : mapping.used)
            EXPECT_TRUE(same_bytes(file.tensors[used.source], model.find(used.name))) << used.name;
        const auto* count =
            file.find(naming == exporting::weight_naming::fastai ? "0.4.0.bn1.num_batches_tracked"
                                                                 : "layer1.0.bn1.num_batches_tracked");
        ASSERT_NE(count, nullptr);
        EXPECT_EQ(count->dtype, model::weight_dtype::i64);
        EXPECT_TRUE(count->shape.empty());
    }

    exporting::write_safetensors(model, true, at("half"));
    const exporting::exported_model half = exporting::read_model(at("half"));
    EXPECT_EQ(half.description.classes, model.description.classes);
    const std::vector<float> before = model.find("conv1.weight").to_float32(),
                             after = half.find("conv1.weight").to_float32();
    for (std::size_t i = 0; i < before.size(); ++i)
        ASSERT_EQ(after[i], float_of_half(half_of_float(before[i])));
    exporting::write_safetensors(model, false, at("copy"));
    EXPECT_EQ(read_file(at("copy"), 1 << 30), read_file(at("m"), 1 << 30));
}

TEST_F(weight_export, refuses_what_no_state_dict_can_be) {
    const std::vector<float> values(2);
    std::vector<model::weight_tensor> tensors{model::float32_tensor("a", {2}, values),
                                              model::float32_tensor("a", {2, 1}, values)};
    EXPECT_THROW(model::write_torch_file(at("t"), tensors), std::invalid_argument);
    tensors.pop_back();
    tensors[0].dtype = model::weight_dtype::bf16;
    EXPECT_THROW(model::write_torch_file(at("t"), tensors), std::invalid_argument);
    EXPECT_THROW(static_cast<void>(exporting::read_model(PETNET_SAMPLE_DIR "/images/pug_112.jpg")),
                 input_error);
}

} // namespace
