// SPDX-License-Identifier: Apache-2.0
// Files with several sets of weights: which is read, and how another is named.
#include "model/weights/weight_sets.hpp"

#include "model/weights/weight_names.hpp"
#include "torch_builder.hpp"

#include <fstream>

using namespace petnet::model;
using namespace petnet::model::testing;
using namespace petnet::model::testing::pickled;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

namespace {

constexpr std::size_t whole = 180;

// A state dict of the first `count` names of ResNet-34's body, each of one value, `number`.
std::string body(std::int64_t number, std::size_t count = whole, const std::string& prefix = "") {
    std::string result = "}(";
    for (std::size_t i = 0; i < count; ++i)
        result +=
            text(prefix + body_weight_names()[i]) + tensor(storage(9), number, integers({1}), integers({1}));
    return result + "u";
}

using entries = std::initializer_list<std::pair<std::string, std::string>>;

weight_file read_key(const std::string& value, std::string_view key) {
    const auto bytes =
        std::make_shared<const std::string>(torch_zip(value, floats({0, 1, 2, 3, 4, 5, 6, 7, 8})));
    return read_weight_bytes(as_bytes(*bytes), "weights", bytes, key);
}

// The number of the set that is read.
float chosen(const std::string& value, std::string_view key = {}) {
    const weight_file file = read_key(value, key);
    EXPECT_FALSE(file.tensors.empty());
    return file.tensors.empty() ? -1 : file.tensors[0].to_float32()[0];
}

std::string refusal_of(const std::string& value, std::string_view key) {
    try {
        static_cast<void>(read_key(value, key));
    } catch (const petnet::input_error& error) {
        return error.what();
    }
    return "";
}

TEST(weight_sets, any_key_is_found) {
    for (const char* key : {"net", "ema", "state_dict_ema", "weights", "params", "teacher", "model_ema",
                            "student", "G", "network_state", "best.model", ""}) {
        const std::string value = dictionary({{"epoch", integer(3)}, {key, body(5)}, {"optimizer", "}"}});
        EXPECT_EQ(chosen(value), 5) << key;
        EXPECT_THAT(read_key(value, {}).sets, IsEmpty()) << key;
        EXPECT_EQ(chosen(dictionary({{"args", "N"}, {"checkpoint", value}})), 5) << key << ", one deeper";
    }
    EXPECT_THAT(refusal_of(dictionary({{"a", dictionary({{"b", dictionary({{"c", body(5)}})}})}}), {}),
                HasSubstr("holds no state dict"));
}

TEST(weight_sets, the_whole_one_is_read_whatever_its_name) {
    const std::string value = dictionary(
        {{"model", dictionary({{"fc.weight", tensor(storage(9), 1, integers({1}), integers({1}))}})},
         {"state_dict", body(2, 100)},
         {"exp_avg", body(3, whole - 1)},
         {"ema", body(4)}});
    EXPECT_EQ(chosen(value), 4);
    EXPECT_THAT(read_key(value, {}).sets, IsEmpty());
    EXPECT_EQ(chosen(value, "state_dict"), 2);
    EXPECT_EQ(chosen(value, "model"), 1);
}

TEST(weight_sets, of_several_that_are_whole_the_order_decides) {
    const std::pair<std::string, std::string> table[] = {
        {"state_dict", "model"}, {"model", "net"},
        {"net", "backbone"},     {"params", "best"},
        {"model", "model_ema"},  {"student", "teacher"},
        {"last", "swa"},         {"state_dict", "state_dict_ema"},
        {"anything", "ema"},     {"online", "target_net"},
        {"weights", "params"}};
    for (const auto& [first, second] : table)
        for (const bool swapped : {false, true}) {
            const std::string value = swapped ? dictionary({{second, body(2)}, {first, body(1)}})
                                              : dictionary({{first, body(1)}, {second, body(2)}});
            EXPECT_EQ(chosen(value), 1) << first;
            EXPECT_THAT(read_key(value, {}).sets, ElementsAre(first, second));
            EXPECT_EQ(chosen(value, second), 2) << second;
            EXPECT_THAT(read_key(value, second).sets, IsEmpty());
        }
    EXPECT_EQ(chosen(dictionary({{"b", body(1)}, {"a", body(2)}})), 1) << "the first in the file";
    // Tensors without a key: after a state dict, before another name.
    const std::string bare = body(3);
    const auto beside = [&](const char* key) {
        return bare.substr(0, bare.size() - 1) + text(key) + body(4) + "u";
    };
    EXPECT_EQ(chosen(beside("state_dict")), 4);
    EXPECT_EQ(chosen(beside("other")), 3);
    EXPECT_THAT(read_key(beside("other"), {}).sets, ElementsAre("", "other"));
}

TEST(weight_sets, keys_name_dictionaries_and_then_prefixes) {
    const std::string student = body(6, whole, "student."),
                      both = student.substr(0, student.size() - 1) + body(7, whole, "teacher.").substr(2);
    const std::string value =
        dictionary({{"run.1", dictionary({{"model", body(1)}, {"ema", body(2)}})}, {"state_dict", both}});
    EXPECT_EQ(chosen(value, "run.1"), 1);
    EXPECT_EQ(chosen(value, "run.1.ema"), 2);
    EXPECT_EQ(chosen(value, "state_dict"), 6);
    EXPECT_EQ(chosen(value, "state_dict.teacher"), 7);
    EXPECT_EQ(chosen(value, "teacher"), 7) << "in the set that is read";
    EXPECT_EQ(read_key(value, "teacher").tensors.size(), whole);
    EXPECT_EQ(read_key(value, "teacher").tensors[0].name, "conv1.weight");
    for (const char* key : {"run", "stud", "state_dict.ema", "run.1.ema.conv1.weight", ".", "a..b"})
        EXPECT_THAT(refusal_of(value, key), HasSubstr("it holds no set of weights '")) << key;
    EXPECT_THAT(refusal_of(both, "ema"),
                HasSubstr("no set of weights 'ema'; the names in it begin with 'student', 'teacher'"));
}

TEST(weight_sets, of_safetensors_are_named_by_what_their_names_begin_with) {
    const std::string file = safetensors(R"({"a.w":{"dtype":"F32","shape":[1],"data_offsets":[0,4]},)"
                                         R"("ab.w":{"dtype":"F32","shape":[1],"data_offsets":[4,8]}})",
                                         floats({1, 2}));
    const weight_file kept = read_weight_bytes(as_bytes(file), "weights", nullptr, "ab");
    ASSERT_EQ(kept.tensors.size(), 1u);
    EXPECT_EQ(kept.tensors[0].name, "w");
    EXPECT_EQ(kept.tensors[0].to_float32(), std::vector<float>{2});
    EXPECT_THROW(static_cast<void>(read_weight_bytes(as_bytes(file), "weights", nullptr, "a.w")),
                 petnet::input_error);
}

// One dictionary that others refer to a thousand times each is looked at once.
TEST(weight_sets, shared_dictionaries_take_no_time) {
    std::string value = "}(" + text("x") + body(1) + "q\x01"; // and remembers it
    for (int i = 0; i < 1000; ++i) value += text("k" + std::to_string(i)) + "h\x01";
    value += "uq\x02";
    std::string root = "}(" + text("first") + value;
    for (int i = 0; i < 1000; ++i) root += text("r" + std::to_string(i)) + "h\x02";
    EXPECT_EQ(chosen(root + "u"), 1);
}

TEST(weight_sets, choice_in_words) {
    EXPECT_EQ(several_sets("FILE", {"model", "ema"}),
              "FILE holds several sets of weights: 'model' is read, not 'ema'; FILE:KEY names another");
    EXPECT_THAT(several_sets("f", {"", "a", "b"}),
                HasSubstr(": the one without a key is read, not 'a', 'b';"));
}

TEST(weight_sets, a_file_of_the_whole_name_wins) {
    const temporary_folder folder;
    const auto make = [&](const char* name) { std::ofstream(folder / name) << "x"; };
    make("w.pth");
    make("w.pth:model");
    const std::string base = (folder / "w.pth").string();
    const auto expect = [&](const std::string& text, const std::string& file, const std::string& key) {
        EXPECT_EQ(place_of_weights(text).file, file) << text;
        EXPECT_EQ(place_of_weights(text).key, key) << text;
    };
    expect(base, base, "");
    expect(base + ":ema", base, "ema");
    expect(base + ":a.b", base, "a.b");
    expect(base + ":model", base + ":model", "");
    expect(base + ":model:ema", base + ":model", "ema");
    expect(base + ":", base + ":", "");
    expect((folder / "none").string() + ":ema", (folder / "none").string() + ":ema", "");
    expect(folder.path().string() + ":ema", folder.path().string() + ":ema", "");
}

} // namespace
