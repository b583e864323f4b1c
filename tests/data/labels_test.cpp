// SPDX-License-Identifier: Apache-2.0
#include "data/labels.hpp"

#include "tests/data/test_folder.hpp"

#include <chrono>

using namespace petnet;
using namespace petnet::data;
using petnet::test::message_of;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

namespace {

image_folder folder_of(const std::vector<std::string>& names) {
    image_folder folder;
    folder.root = "some/photos";
    for (const std::string& name : names) folder.photos.push_back({name, 1});
    return folder;
}

std::string label(std::string_view rule, std::string_view name) {
    return label_rule::parse(rule).label_of(name, "root").value_or("(none)");
}

} // namespace

TEST(labels, cat_dog_looks_at_the_first_letter_of_the_file_name) {
    const photo_labels labels =
        label_photos(folder_of({"Birman_1.jpg", "Sub/pug_2.jpg", "_x.jpg"}), label_rule::parse("cat-dog"));
    EXPECT_THAT(labels.class_names, ElementsAre("cat", "dog"));
    EXPECT_THAT(labels.of_photo, ElementsAre(0, 1, 1));
}

TEST(labels, breed_is_what_stands_before_the_number) {
    EXPECT_EQ(label("breed", "great_pyrenees_12.jpg"), "great_pyrenees");
    EXPECT_EQ(label("breed", "a/b/Maine_Coon_7.JPEG"), "Maine_Coon");
    EXPECT_EQ(label("breed", "x_1_2.png"), "x_1");
    for (const char* bad :
         {"pug.jpg", "pug_.jpg", "pug_1a.jpg", "_12.jpg", "pug_12", "pug_12.", "12.jpg", "d/"})
        EXPECT_EQ(label("breed", bad), "(none)") << bad;
}

TEST(labels, folder_is_the_folder_the_file_lies_in) {
    EXPECT_EQ(label("folder", "train/cats/1.jpg"), "cats");
    EXPECT_EQ(label("folder", "1.jpg"), "root");
}

TEST(labels, a_regular_expression_gives_its_first_group) {
    EXPECT_EQ(label(R"(regex=^(.*)_\d+.jpg$)", "sub/great_pyrenees_12.jpg"), "great_pyrenees");
    EXPECT_EQ(label("regex=(cat|dog)", "my_dog_and_cat.png"), "dog");
    EXPECT_EQ(label("regex=x(y)?", "ax.jpg"), "(none)");
    EXPECT_EQ(label("regex=()", "a.jpg"), "(none)");
    EXPECT_EQ(label("regex=(.+)", std::string(300, 'a')), "(none)");
}

TEST(labels, an_expression_cannot_run_away) {
    const auto began = std::chrono::steady_clock::now();
    EXPECT_EQ(label("regex=^((a+)+)+$", std::string(250, 'a') + "!"), "(none)");
    EXPECT_EQ(label("regex=^(a*)*b$", std::string(254, 'a')), "(none)");
    EXPECT_LT(std::chrono::steady_clock::now() - began, std::chrono::seconds(5));
}

TEST(labels, bad_rules_are_usage_errors) {
    const auto refusal = [](const std::string& rule) {
        return message_of<usage_error>([&] { (void)label_rule::parse(rule); });
    };
    EXPECT_THAT(refusal("cats"), HasSubstr("expected cat-dog, breed, folder, regex=RE or csv=FILE"));
    EXPECT_THAT(refusal("regex=("), HasSubstr("not a valid regular expression"));
    EXPECT_THAT(refusal("regex=abc"), HasSubstr("has no group"));
    EXPECT_THAT(refusal(R"(regex=(a)\1)"), HasSubstr("refers back"));
    EXPECT_THAT(refusal("regex=" + std::string(100'000, '(')), HasSubstr("longer than"));
    EXPECT_THAT(refusal("regex=" + std::string(500, '(') + std::string(499, ')')), HasSubstr("not a valid"));
    EXPECT_THAT(refusal("regex=((a{1000}){1000}){1000}"), HasSubstr("not a valid"));
}

TEST(labels, errors_name_the_file_and_the_rule) {
    const image_folder folder = folder_of({"a_1.jpg", "b.jpg"});
    EXPECT_THAT(message_of<input_error>([&] { (void)label_photos(folder, label_rule::parse("breed")); }),
                HasSubstr("some/photos/b.jpg: the label rule breed does not fit"));
    EXPECT_THAT(message_of<input_error>([&] { (void)label_photos(folder, label_rule::parse("folder")); }),
                ::testing::AllOf(HasSubstr("\"photos\""), HasSubstr("at least two classes")));
}

TEST(labels, known_classes_keep_their_numbers) {
    dataset_folder set{.photographs = folder_of({"b/1.jpg", "a/2.jpg"}), .split = {}, .others = {}};
    const std::vector<std::string> known{"c", "b", "a"}, others{"b", "c"};
    EXPECT_THAT(label_dataset(set, "some", {"folder", {}}, &known).labels.of_photo, ElementsAre(1, 2));
    EXPECT_THAT(
        message_of<input_error>([&] {
            (void)label_dataset(set, "some", {"folder", {}}, &others);
        }),
        HasSubstr("a/2.jpg: its label \"a\" by the rule folder is not one of the 2 known classes: b, c"));
    set.photographs = folder_of({"b/1.jpg"});
    EXPECT_THAT(label_dataset(set, "some", {"folder", {}}, &known).labels.of_photo, ElementsAre(1));
}

TEST(labels, an_expression_with_a_slash_is_of_the_path) {
    EXPECT_EQ(label(R"(regex=/([^/]+)_\d+.jpg$)", "sub/pug_12.jpg"), "pug");
    EXPECT_EQ(label(R"(regex=([^/]+)/[^/]+$)", "a/b/1.jpg"), "b");
    EXPECT_EQ(label(R"(regex=([^/]+)/[^/]+$)", "1.jpg"), "root");
    EXPECT_EQ(label("regex=(a+)/", std::string(5000, 'a') + "/1.jpg"), "(none)");
}

TEST(labels, columns_are_of_a_table) {
    EXPECT_THAT(message_of<usage_error>([] {
                    check_labelling({"folder", {.file = "", .label = "1", .valid = ""}});
                }),
                HasSubstr("--label-column"));
    EXPECT_THAT(message_of<usage_error>([] { check_labelling({"csv=", {}}); }), HasSubstr("names no file"));
    EXPECT_NO_THROW(check_labelling({"csv=labels.csv", {.file = "", .label = "1", .valid = ""}}));
}
