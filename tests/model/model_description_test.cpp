// SPDX-License-Identifier: Apache-2.0
// What a model says of itself: written, read back, and refused where it makes no sense.
#include "model/model_description.hpp"

#include "base/errors.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

using namespace petnet;

namespace {

model::model_description sample() {
    return {.classes = {"Abyssinian", "a \"quoted\" one", "größer"},
            .size = 128,
            .photo_size = 263,
            .mean = {0.485F, 0.456F, 0.406F},
            .deviation = {0.229F, 0.224F, 0.225F},
            .recipe = "augmented",
            .turned_by_exif = true,
            .labels = "regex=^(.*)_"};
}

TEST(model_description, comes_back_as_it_was) {
    const model::model_description before = sample();
    const model::model_description after =
        model::describe({.tensors = {}, .metadata = metadata_of(before)}, "m");
    EXPECT_EQ(after.classes, before.classes);
    EXPECT_EQ(after.size, 128);
    EXPECT_EQ(after.photo_size, 263);
    EXPECT_EQ(after.mean, before.mean);
    EXPECT_EQ(after.deviation, before.deviation);
    EXPECT_EQ(after.recipe, "augmented");
    EXPECT_TRUE(after.turned_by_exif);
    EXPECT_EQ(after.labels, before.labels);
    EXPECT_EQ(metadata_of(before).at("mean"), "[0.485,0.456,0.406]") << "not as people write it";
}

TEST(model_description, refuses_what_makes_no_sense) {
    const std::vector<std::pair<std::string, std::vector<std::string>>> cases{
        {"classes", {"", "cat", "[]", "[1]", "[\"\"]", "{}", "[\"a\",", std::string(3000, '[')}},
        {"size", {"", "31", "-224", "16385", "1e9", "224 ", "99999999999999999999", "264"}},
        {"photo_size", {"big", "127"}},
        {"mean", {"", "[1,2]", "[1,2,3,4]", "[1,2,null]", "[1,2,\"3\"]", "[1,2,1e99]"}},
        {"std", {"[0,1,1]", "[-1,1,1]", "0.2"}}};
    for (const auto& [name, values] : cases)
        for (const std::string& value : values) {
            model::weight_file file{.tensors = {}, .metadata = metadata_of(sample())};
            file.metadata[name] = value;
            try {
                static_cast<void>(model::describe(file, "m.safetensors"));
                ADD_FAILURE() << name << " = " << value << " was taken";
            } catch (const input_error& problem) {
                EXPECT_THAT(problem.what(), ::testing::StartsWith("m.safetensors: "));
            }
        }
    const std::vector<float> values(2);
    const model::weight_file other_head{.tensors = {model::float32_tensor("head.fc2.weight", {2, 1}, values)},
                                        .metadata = metadata_of(sample())};
    EXPECT_THROW(static_cast<void>(model::describe(other_head, "m")), input_error) << "two logits for three";
    for (const auto& [name, value] : metadata_of(sample())) {
        if (name == "format") continue; // for PyTorch's loaders
        model::weight_file file{.tensors = {}, .metadata = metadata_of(sample())};
        file.metadata.erase(name);
        EXPECT_THROW(static_cast<void>(model::describe(file, "m")), input_error) << name;
    }
}

} // namespace
