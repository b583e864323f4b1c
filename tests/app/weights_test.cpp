// SPDX-License-Identifier: Apache-2.0
// --weights and inspect with files that are hostile, of another network, or good.
#include "base/float16.hpp"
#include "model/weights/weight_file.hpp"
#include "tests/app/crew.hpp"
#include "tests/app/folders.hpp"
#include "tests/model/weights/torch_builder.hpp"
#include "tests/support/golden.hpp"

#include <limits>
#include <memory>

using namespace petnet::testing;
using petnet::model::weight_file;
using petnet::model::weight_tensor;

namespace {

class weights : public work_folder {
  protected:
    static fs::path embedded() {
        for (const fs::directory_entry& entry : fs::directory_iterator(PETNET_SAMPLE_DIR))
            if (entry.path().extension() == ".zst") return entry.path();
        ADD_FAILURE() << "the sample has no weights";
        return {};
    }
    std::string save(const std::string& name, const std::vector<weight_tensor>& tensors) const {
        petnet::model::write_safetensors(folder() / name, tensors);
        return at(name);
    }
    void expect_refused(const std::string& file, const std::vector<std::string>& parts) {
        if (!fs::exists(at("d"))) photographs("d", 8);
        const outcome result = run(training(at("d"), "o", {"--epochs", "0", "--weights", file}));
        EXPECT_TRUE(refused(result, 3, parts)) << file;
        EXPECT_FALSE(fs::exists(at("o")));
        expect_peak_below(result, 500);
    }
};

TEST_F(weights, hostile_golden_files_are_refused_by_name) {
    std::size_t count = 0;
    for (const fs::directory_entry& entry :
         fs::directory_iterator(golden_dir() / "checkpoints" / "hostile")) {
        const std::string file = entry.path().string();
        expect_refused(file, {file});
        const outcome inspected = run({"inspect", file});
        EXPECT_TRUE(refused(inspected, 3, {file}));
        expect_peak_below(inspected, 100);
        ++count;
    }
    EXPECT_GE(count, 10U);
}

// A frame without content that pads the file, so that the proportion to it bounds nothing.
TEST_F(weights, compressed_ones_are_bounded_whatever_their_size) {
    const std::uint64_t content = 1'200'000'000;
    const std::string header = R"({"a":{"dtype":"U8","shape":[)" + std::to_string(content) +
                               R"(],"data_offsets":[0,)" + std::to_string(content) + "]}}";
    const std::uint64_t length = header.size();
    std::string begin(reinterpret_cast<const char*>(&length), sizeof length);
    begin += header;
    const fs::path plain = write("plain.safetensors", begin);
    fs::resize_file(plain, begin.size() + content);
    const std::string bomb = at("bomb.zst");
    // NOLINTNEXTLINE(cert-env33-c): names of our own making
    if (std::system(("zstd -q -1 --no-check '" + plain.string() + "' -o '" + bomb + "'").c_str()) != 0)
        GTEST_SKIP() << "no zstd to compress with";
    const std::uint32_t padding = 20'000'000;
    std::ofstream file(bomb, std::ios::binary | std::ios::app);
    file << "\x50\x2a\x4d\x18" << std::string(reinterpret_cast<const char*>(&padding), sizeof padding)
         << std::string(padding, 'x');
    file.close();
    const outcome result = run({"inspect", bomb});
    EXPECT_TRUE(refused(result, 3, {bomb, "more than"}));
    expect_peak_below(result, 500);
}

TEST_F(weights, that_are_no_files) {
    expect_refused(at("none.pth"), {"none.pth"});
    expect_refused(folder().string(), {folder().string(), "folder"});
    expect_refused(write("text.safetensors", "these are no weights").string(), {"text.safetensors"});
    EXPECT_TRUE(refused(run({"inspect", at("none.pth")}), 3, {"none.pth"}));
}

TEST_F(weights, of_another_network_name_the_first_tensor_that_differs) {
    const weight_file all = petnet::model::read_weight_file(embedded());
    std::vector<weight_tensor> resnet18, half_width, no_norm;
    const std::vector<float> stem(32 * 3 * 7 * 7, 0.1F);
    for (const weight_tensor& tensor : all.tensors) {
        const std::size_t dot = tensor.name.find('.');
        const char block = tensor.name.starts_with("layer") ? tensor.name.at(dot + 1) : '0';
        if (block < '2') resnet18.push_back(tensor);
        if (tensor.name == "conv1.weight")
            half_width.push_back(petnet::model::float32_tensor(tensor.name, {32, 3, 7, 7}, stem));
        else
            half_width.push_back(tensor);
        if (tensor.name != "layer3.0.downsample.1.running_var") no_norm.push_back(tensor);
    }
    expect_refused(save("resnet18.safetensors", resnet18),
                   {"resnet18.safetensors", "another network", "layer1.2.conv1.weight is missing"});
    expect_refused(save("half.safetensors", half_width), {"conv1.weight is 32x3x7x7, expected 64x3x7x7"});
    expect_refused(save("norm.safetensors", no_norm), {"layer3.0.downsample.1.running_var is missing"});
    // inspect says what there is instead.
    const auto expect_inspected = [&](const std::string& file, const std::string& network,
                                      std::size_t fitting, const std::string& reason) {
        const outcome inspected = run({"inspect", at(file)});
        EXPECT_EQ(inspected.code, 0) << inspected.err;
        EXPECT_NE(inspected.out.find("\nNetwork: " + network + "\nResNet-34: " + std::to_string(fitting) +
                                     " of 180 tensors of the body in their shape, 0 of 10"),
                  std::string::npos)
            << inspected.out;
        EXPECT_NE(inspected.out.find("\npetnet train refuses them: these are weights of another network: " +
                                     reason),
                  std::string::npos)
            << inspected.out;
    };
    expect_inspected("resnet18.safetensors", "ResNet-18", 100, "layer1.2.conv1.weight is missing");
    expect_inspected("half.safetensors", "a ResNet of basic blocks 3, 4, 6, 3, of other widths", 179,
                     "conv1.weight is 32x3x7x7, expected 64x3x7x7");
    expect_inspected("norm.safetensors", "ResNet-34", 179, "layer3.0.downsample.1.running_var is missing");
}

TEST_F(weights, what_has_no_place_is_told) {
    const weight_file all = petnet::model::read_weight_file(embedded());
    std::vector<weight_tensor> more = all.tensors;
    const std::vector<float> values(6);
    more.push_back(petnet::model::float32_tensor("auxiliary.weight", {2, 3}, values));
    const outcome result = run(
        training(photographs("d", 8), "o", {"--epochs", "0", "--weights", save("more.safetensors", more)}));
    EXPECT_EQ(result.code, 0) << result.err;
    EXPECT_NE(result.err.find("Warning: "), std::string::npos);
    EXPECT_NE(result.err.find("auxiliary.weight"), std::string::npos) << result.err;
}

// The file's tensors, copied, with `value` in one of them.
std::vector<weight_tensor> with_value(const weight_file& file, const std::string& name, std::size_t place,
                                      float value) {
    std::vector<weight_tensor> tensors = file.tensors;
    for (weight_tensor& tensor : tensors)
        if (tensor.name == name) {
            auto values = std::make_shared<std::vector<float>>(tensor.to_float32());
            values->at(place) = value;
            tensor = petnet::model::float32_tensor(name, tensor.shape, *values);
            tensor.storage = values;
        }
    return tensors;
}

constexpr float nan_value = std::numeric_limits<float>::quiet_NaN();
constexpr float infinite = std::numeric_limits<float>::infinity();

TEST_F(weights, that_are_not_finite_are_refused_by_all_that_train) {
    const weight_file good = petnet::model::read_weight_file(embedded());
    const std::string nan_file = save("nan.safetensors", with_value(good, "conv1.weight", 0, nan_value));
    expect_refused(nan_file, {nan_file, "conv1.weight has 1 value that is not finite"});
    EXPECT_TRUE(refused(run({"lr-find", "--data", at("d"), "--weights", nan_file, "--size", "32",
                             "--batch-size", "4", "--output", at("lr.svg")}),
                        3, {nan_file, "conv1.weight has 1 value that is not finite"}));
    const std::string variance =
        save("variance.safetensors", with_value(good, "layer4.2.bn2.running_var", 511, -1.0F));
    expect_refused(variance, {variance, "layer4.2.bn2.running_var has 1 negative variance"});

    // inspect shows it instead.
    const outcome inspected = run({"inspect", nan_file});
    EXPECT_EQ(inspected.code, 0) << inspected.err;
    EXPECT_NE(inspected.out.find("petnet train refuses them: conv1.weight has 1 value that is not finite"),
              std::string::npos);
    EXPECT_NE(inspected.out.find("64x3x7x7  has 1 value that is not finite\n"), std::string::npos);
    EXPECT_NE(inspected.out.find("\nUnusable: conv1.weight has 1 value that is not finite\n"),
              std::string::npos);
    EXPECT_EQ(run({"inspect", embedded().string()}).out.find("Unusable"), std::string::npos);
}

TEST_F(weights, models_that_are_not_finite_give_no_answer) {
    const outcome trained = run(training(photographs("d", 8), "o", frozen()));
    ASSERT_EQ(trained.code, 0) << trained.err;
    const weight_file good = petnet::model::read_weight_file(folder() / "o" / "model.safetensors");
    const std::string broken = at("broken.safetensors");
    petnet::model::write_safetensors(broken, with_value(good, "head.fc2.weight", 1, -infinite),
                                     good.metadata);
    for (const arguments& words : {arguments{"predict", "--model", broken, at("d")},
                                   arguments{"evaluate", "--model", broken, "--data", at("d")},
                                   arguments{"export", "--model", broken, "--onnx", at("m.onnx")},
                                   arguments{"serve", "--model", broken, "--port", "0"}})
        EXPECT_TRUE(refused(run(words), 3, {broken, "head.fc2.weight has 1 value that is not finite"}))
            << words[0];
}

// The file's tensors, copied, with all values of one of them multiplied.
std::vector<weight_tensor> scaled(const weight_file& file, const std::string& name, float factor) {
    std::vector<weight_tensor> tensors = file.tensors;
    for (weight_tensor& tensor : tensors)
        if (tensor.name == name) {
            auto values = std::make_shared<std::vector<float>>(tensor.to_float32());
            for (float& value : *values) value *= factor;
            tensor = petnet::model::float32_tensor(name, tensor.shape, *values);
            tensor.storage = values;
        }
    return tensors;
}

// Weights that are finite and too large: the logits overflow.
TEST_F(weights, with_which_the_loss_is_lost_end_the_training) {
    ASSERT_EQ(run(training(photographs("d", 8), "good", frozen())).code, 0);
    weight_file large = petnet::model::read_weight_file(folder() / "good" / "model.safetensors");
    large.tensors = scaled(large, "head.bn2.weight", 1e10F);
    const std::string file = save("large.safetensors", scaled(large, "head.fc2.weight", 1e38F));
    arguments words = training(at("d"), "o", frozen());
    words.insert(words.end(), {"--lr", "0.02"});
    *std::ranges::find(words, "embedded") = file;
    const outcome result = run(words);
    EXPECT_EQ(result.code, 3);
    const std::vector<std::string> lines = lines_of(result.err);
    ASSERT_FALSE(lines.empty());
    EXPECT_NE(lines.back().find("at step 0 (epoch 0, learning rate "), std::string::npos) << result.err;
    EXPECT_NE(lines.back().find("try a lower --lr"), std::string::npos) << result.err;
    EXPECT_EQ(lines.back().find("--precision"), std::string::npos) << "it was fp32 already";
    EXPECT_FALSE(fs::exists(at("o/model.safetensors")));
    EXPECT_EQ(record_of("o").at("status"), "failed");

    // Of several processes each says it.
    words.insert(words.end(), {"--threads", "1", "--logs", "none"});
    for (const outcome& each : crew(2, words).end()) {
        EXPECT_TRUE(each.code == 3 || each.code == 4) << each.code; // 4: the other was the first to say it
        EXPECT_NE(each.err.find("at step 0 (epoch 0, learning rate "), std::string::npos) << each.err;
    }
    EXPECT_FALSE(fs::exists(at("o/model.safetensors")));
}

// The variance overflows, and the loss does not show it: batch norm divides by infinity.
TEST_F(weights, that_break_without_a_word_of_the_loss_make_no_model) {
    const weight_file good = petnet::model::read_weight_file(embedded());
    const std::string file = save("large.safetensors", scaled(good, "conv1.weight", 1e21F));
    for (const int epochs : {1, 2}) {
        arguments words = training(photographs("d" + std::to_string(epochs), 8), "o", frozen(epochs));
        *std::ranges::find(words, "embedded") = file;
        const outcome result = run(words);
        EXPECT_EQ(result.code, 3) << result.err;
        EXPECT_NE(result.err.find("the network is broken: bn1.running_var has 64 values that are not finite"),
                  std::string::npos)
            << result.err;
        EXPECT_FALSE(fs::exists(at("o/model.safetensors")));
        EXPECT_FALSE(fs::exists(at("o/checkpoint/state.safetensors")));
        EXPECT_EQ(metrics_of("o").size(), 2U) << "a step and an epoch";
    }
}

// Two sets of the embedded weights under keys, as half floats in one storage; in that of `ema` one is NaN.
std::string two_sets(const weight_file& file) {
    using namespace petnet::model::testing;
    using namespace petnet::model::testing::pickled;
    std::string storage_bytes, sets[2];
    for (int i = 0; i < 64; ++i) storage_bytes += le<std::uint16_t>(0x7e00);
    const auto strides_of = [](const std::vector<std::int64_t>& shape) {
        std::string strides = "(";
        for (std::size_t axis = 0; axis < shape.size(); ++axis) {
            std::int64_t stride = 1;
            for (std::size_t inner = axis + 1; inner < shape.size(); ++inner) stride *= shape[inner];
            strides += integer(stride);
        }
        return strides + "t";
    };
    std::int64_t elements = 64;
    for (const weight_tensor& tensor : file.tensors)
        elements += static_cast<std::int64_t>(tensor.element_count());
    std::int64_t offset = 64;
    for (const weight_tensor& each : file.tensors) {
        std::string shape = "(";
        for (const std::int64_t extent : each.shape) shape += integer(extent);
        shape += "t";
        for (const float value : each.to_float32()) storage_bytes += le(petnet::half_of_float(value));
        const bool broken = each.name == "bn1.bias";
        for (const bool ema : {false, true})
            sets[ema ? 1 : 0] +=
                text("net." + each.name) + tensor(storage(elements, "HalfStorage"),
                                                  broken && ema ? 0 : offset, shape, strides_of(each.shape));
        offset += static_cast<std::int64_t>(each.element_count());
    }
    return torch_zip(
        dictionary({{"ema", "}(" + sets[1] + "u"}, {"run", dictionary({{"weights", "}(" + sets[0] + "u"}})}}),
        storage_bytes);
}

TEST_F(weights, of_several_sets_one_is_chosen_and_said) {
    const weight_file good = petnet::model::read_weight_file(embedded());
    const std::string file = write("two.pth", two_sets(good)).string();
    const auto train = [&](const std::string& weights_option, const std::string& output) {
        return run(training(photographs(output + "_data", 8), output,
                            {"--epochs", "0", "--freeze-epochs", "1", "--weights", weights_option}));
    };
    const outcome chosen = train(file, "chosen");
    EXPECT_EQ(chosen.code, 0) << chosen.err;
    const std::string warning = "Warning: " + file +
                                " holds several sets of weights: 'run.weights' is read, not 'ema'; FILE:KEY "
                                "names another\n";
    EXPECT_NE(chosen.err.find(warning), std::string::npos) << chosen.err;
    const outcome named = train(file + ":run", "named");
    EXPECT_EQ(named.code, 0) << named.err;
    EXPECT_EQ(named.err.find("several sets"), std::string::npos) << named.err;
    EXPECT_TRUE(model_of("named") == model_of("chosen"));
    EXPECT_EQ(record_of("named").at("weights").at("sha256"), record_of("chosen").at("weights").at("sha256"));
    EXPECT_NE(record_of("named").at("identity"), record_of("chosen").at("identity"));
    expect_refused(file + ":ema", {file, "net.bn1.bias has 64 values that are not finite"});
    expect_refused(file + ":emma", {file, "holds no set of weights 'emma'"});

    const outcome inspected = run({"inspect", file});
    EXPECT_EQ(inspected.code, 0) << inspected.err;
    EXPECT_NE(inspected.err.find(warning), std::string::npos) << inspected.err;
    EXPECT_EQ(inspected.out.find("Unusable"), std::string::npos);
    EXPECT_NE(run({"inspect", file + ":ema"}).out.find("Unusable: net.bn1.bias"), std::string::npos);
}

TEST_F(weights, of_several_prefixes_one_is_chosen_and_said) {
    const weight_file good = petnet::model::read_weight_file(embedded());
    std::vector<weight_tensor> tensors;
    for (const char* prefix : {"teacher.net.", "student.net."})
        for (weight_tensor tensor : with_value(good, "bn1.weight", 0, *prefix == 't' ? nan_value : 1.0F)) {
            tensor.name.insert(0, prefix);
            tensors.push_back(std::move(tensor));
        }
    const std::string file = save("distilled.safetensors", tensors);
    const outcome chosen = run(training(photographs("d", 8), "o", {"--epochs", "0", "--weights", file}));
    EXPECT_EQ(chosen.code, 0) << chosen.err;
    EXPECT_NE(chosen.err.find("Warning: " + file +
                              " holds several sets of weights: 'student.net' is read, not "
                              "'teacher.net'; FILE:KEY names another\n"),
              std::string::npos)
        << chosen.err;
    EXPECT_EQ(chosen.err.find("no place"), std::string::npos) << chosen.err;
    fs::remove_all(at("o"));
    expect_refused(file + ":teacher", {file, "net.bn1.weight has 1 value that is not finite"});
}

TEST_F(weights, imagenet_without_a_network_says_what_to_do) {
    const arguments words = training(photographs("d", 8), "o", {"--weights", "imagenet"});
    // Nobody listens at this port.
    const surroundings nowhere{.environment = {{"PETNET_CACHE_DIR", at("cache")},
                                               {"PETNET_RESNET34_URL", "http://127.0.0.1:1/weights"},
                                               {"no_proxy", "127.0.0.1"}}};
    EXPECT_TRUE(refused(run(words, nowhere), 4, {"ImageNet weights", at("cache"), "--weights embedded"}));
}

TEST_F(weights, inspect_of_good_files) {
    const outcome embedded_weights = run({"inspect", embedded().string()});
    EXPECT_EQ(embedded_weights.code, 0) << embedded_weights.err;
    EXPECT_NE(embedded_weights.out.find("layer4.2.bn2.running_var"), std::string::npos);
    EXPECT_NE(embedded_weights.out.find("\nNetwork: ResNet-34\nResNet-34: 180 of 180 tensors of the body in "
                                        "their shape, 0 of 10 of petnet's head, 0 with no place in it\n"
                                        "petnet train starts from these weights, with a new head\n"),
              std::string::npos)
        << embedded_weights.out;
    const outcome golden = run({"inspect", (golden_dir() / "checkpoints" / "tensors_zip.pth").string()});
    EXPECT_EQ(golden.code, 0) << golden.err;
    EXPECT_NE(golden.out.find("\nNetwork: none that petnet knows\n"), std::string::npos) << golden.out;
}

} // namespace
