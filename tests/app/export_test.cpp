// SPDX-License-Identifier: Apache-2.0
// petnet export: what it writes, and what it asks for. (tests/export has the formats.)
#include "tests/app/folders.hpp"

using namespace petnet::testing;

namespace {

class exporting : public work_folder {};

TEST_F(exporting, writes_what_petnet_reads_again) {
    const std::string data = photographs("d");
    const outcome made = run(training(data, "o", {"--epochs", "0", "--quiet"}));
    ASSERT_EQ(made.code, 0) << made.err;
    const outcome result = run({"export", "--model", at("o"), "--safetensors", at("half"), "--half",
                                "--torch", at("t.pth"), "--naming", "fastai"});
    ASSERT_EQ(result.code, 0) << result.err;
    EXPECT_EQ(result.out, at("t.pth") + "\n" + at("half") + "\n");
    const outcome whole = run({"predict", "--model", at("o"), data}),
                  half = run({"predict", "--model", at("half"), data});
    EXPECT_EQ(half.code, 0) << half.err;
    EXPECT_EQ(lines_of(half.out).size(), lines_of(whole.out).size());
    const std::string state = run({"inspect", at("t.pth")}).out;
    EXPECT_NE(state.find("10 of 10 of petnet's head"), std::string::npos);
    EXPECT_NE(state.find("0.4.0.conv1.weight"), std::string::npos) << "not fastai's names";
    ASSERT_EQ(run({"export", "--model", at("o"), "--torch", at("v.pth")}).code, 0);
    EXPECT_NE(run({"inspect", at("v.pth")}).out.find("layer1.0.conv1.weight"), std::string::npos);

    // What the graph takes: by the name of its input.
    if (const outcome tensor = run({"export", "--model", at("o"), "--onnx", at("t.onnx")});
        tensor.code != 4) {
        ASSERT_EQ(tensor.code, 0) << tensor.err;
        ASSERT_EQ(run({"export", "--model", at("o"), "--onnx", at("p.onnx"), "--preprocess"}).code, 0);
        EXPECT_EQ(content_of(folder() / "t.onnx").find("pixels"), std::string::npos);
        EXPECT_NE(content_of(folder() / "p.onnx").find("pixels"), std::string::npos);
    } else {
        EXPECT_NE(tensor.err.find("built without ONNX"), std::string::npos) << tensor.err;
    }

    const auto refuses = [&](const arguments& more, const std::string& part) {
        arguments words{"export", "--model", at("o")};
        words.insert(words.end(), more.begin(), more.end());
        EXPECT_TRUE(refused(run(words), 2, {part}));
    };
    refuses({}, "--onnx");
    refuses({"--torch", at("x"), "--naming", "timm"}, "--naming");
    refuses({"--torch", at("x"), "--preprocess"}, "--preprocess");
    refuses({"--torch", at("x"), "--half"}, "--half");
    refuses({"--safetensors", at("x"), "--naming", "fastai"}, "--naming");
    refuses({"--torch", at("x"), "--safetensors", at("o/../x")}, "two formats");
    const std::string before = content_of(folder() / "o/model.safetensors");
    refuses({"--safetensors", at("o/model.safetensors"), "--half"}, "the model itself");
    EXPECT_EQ(content_of(folder() / "o/model.safetensors"), before);
    EXPECT_TRUE(refused(run({"export", "--model", at("none"), "--torch", at("x")}), 3, {at("none")}));
    EXPECT_TRUE(refused(run({"export", "--model", at("o"), "--torch", at("no/x")}), 4, {at("no/x")}));
}

} // namespace
