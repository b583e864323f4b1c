// SPDX-License-Identifier: Apache-2.0
// ONNX files by ONNX's own checker, and by plain loops over what they say. (By ONNX Runtime:
// real_packages.py.)
#include "export/mlflow_folder.hpp"
#include "export/onnx_file.hpp"

#include "base/errors.hpp"
#include "base/files.hpp"
#include "infer/classifier.hpp"
#include "tests/export/onnx_interpreter.hpp"
#include "tests/infer/made_up_model.hpp"

#include <algorithm>
#include <gmock/gmock.h>
#include <nlohmann/json.hpp>
#include <onnx/checker.h>
#include <onnx/shape_inference/implementation.h>

using namespace petnet;

namespace {

class onnx_file : public petnet::testing::model_folder {
  protected:
    [[nodiscard]] static onnx::ModelProto read(const std::filesystem::path& file) {
        const mapped_file bytes(file);
        onnx::ModelProto model;
        EXPECT_TRUE(model.ParseFromArray(bytes.bytes().data(), static_cast<int>(bytes.bytes().size())));
        return model;
    }
};

TEST_F(onnx_file, is_whole_and_has_the_shapes_it_says) {
    for (const std::int64_t photo_size : {32, 66})
        for (const auto input : {exporting::onnx_input::tensor, exporting::onnx_input::pixels}) {
            petnet::testing::write_made_up_model(at("m"), petnet::testing::description_of_32(photo_size));
            const exporting::exported_model model = exporting::read_model(at("m"));
            exporting::write_onnx(model, input, at("m.onnx"));
            onnx::ModelProto proto = read(at("m.onnx"));
            EXPECT_NO_THROW(onnx::checker::check_model(proto));
            // Shapes inferred by ONNX meet those that the file declares, else it throws.
            constexpr bool check_types = true;
            constexpr int strict = 1;
            EXPECT_NO_THROW(onnx::shape_inference::InferShapes(proto, onnx::OpSchemaRegistry::Instance(),
                                                               {check_types, strict, false}));
            const auto count = [&](const char* type) {
                return std::ranges::count_if(proto.graph().node(),
                                             [&](const auto& node) { return node.op_type() == type; });
            };
            EXPECT_EQ(count("Conv"), 36);
            EXPECT_EQ(count("BatchNormalization"), 38);
            EXPECT_EQ(count("Gemm"), 2);
            EXPECT_EQ(count("MatMul"), photo_size == 66 && input == exporting::onnx_input::pixels ? 2 : 0);
            ASSERT_EQ(proto.graph().input_size(), 1);
            EXPECT_EQ(proto.graph().input(0).type().tensor_type().shape().dim(0).dim_param(), "N");
            EXPECT_EQ(proto.graph().output(0).type().tensor_type().shape().dim(1).dim_value(), 3);
            const auto classes = std::ranges::find_if(
                proto.metadata_props(), [](const auto& entry) { return entry.key() == "classes"; });
            ASSERT_NE(classes, proto.metadata_props().end());
            EXPECT_EQ(classes->value(), "[\"beagle\",\"pug\",\"Siamese\"]");
        }
}

TEST_F(onnx_file, computes_what_petnet_computes) {
    model::model_description description = petnet::testing::description_of_32();
    description.size = 40;       // whose features are 2x2, so that their maximum is not their mean
    description.photo_size = 82; // sampled down
    petnet::testing::write_made_up_model(at("m"), description);
    exporting::write_onnx(exporting::read_model(at("m")), exporting::onnx_input::pixels, at("m.onnx"));
    infer::classifier model(at("m"), {.batch_size = 2});
    std::vector<std::uint8_t> squares(2 * model.square_bytes());
    for (std::size_t i = 0; i < squares.size(); ++i)
        squares[i] = static_cast<std::uint8_t>(random_key(3).bits(i));
    const petnet::testing::onnx_value logits = petnet::testing::run_onnx(
        read(at("m.onnx")).graph(), {{2, 82, 82, 3}, {squares.begin(), squares.end()}});
    EXPECT_EQ(logits.dims, (std::vector<std::int64_t>{2, 3}));
    const std::vector<float> expected = model.classify(squares);
    const float largest =
        std::abs(*std::ranges::max_element(expected, {}, [](float v) { return std::abs(v); }));
    ASSERT_EQ(logits.data.size(), expected.size());
    for (std::size_t i = 0; i < expected.size(); ++i)
        EXPECT_NEAR(logits.data[i], expected[i], 1e-4F * largest); // the limit of real_packages.py
}

TEST_F(onnx_file, in_an_mlflow_folder) {
    petnet::testing::write_made_up_model(at("m"), petnet::testing::description_of_32());
    const exporting::exported_model model = exporting::read_model(at("m"));
    exporting::write_mlflow(model, exporting::onnx_input::tensor, at("folder"));
    for (const char* name : {"MLmodel", "model.onnx", "conda.yaml", "python_env.yaml", "requirements.txt"})
        EXPECT_TRUE(std::filesystem::exists(at("folder") / name)) << name;
    const std::vector<std::byte> bytes = read_file(at("folder") / "MLmodel", 1 << 20);
    const std::string text(reinterpret_cast<const char*>(bytes.data()), bytes.size());
    EXPECT_THAT(text, ::testing::HasSubstr(R"({\"dtype\":\"float32\",\"shape\":[-1,3,32,32]})"));
    EXPECT_THAT(text, ::testing::HasSubstr("loader_module: mlflow.onnx"));
    EXPECT_THAT(text,
                ::testing::HasSubstr("model_uuid: " +
                                     sha256(read_file(at("folder") / "model.onnx", 1 << 30)).substr(0, 32)));
    EXPECT_THROW(exporting::write_mlflow(model, exporting::onnx_input::tensor, at("folder")), input_error);
    EXPECT_THROW(exporting::write_mlflow(model, exporting::onnx_input::tensor, at("m") / "no" / "folder"),
                 environment_error);
}

} // namespace
