// SPDX-License-Identifier: Apache-2.0
#include "data/split.hpp"

#include "tests/data/test_folder.hpp"

#include <algorithm>
#include <cmath>

using namespace petnet;
using namespace petnet::data;
using petnet::test::message_of;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

TEST(split, takes_the_fraction_rounded_down_and_every_photograph_once) {
    const photo_split split = random_split(7390, 0.2, 42);
    EXPECT_EQ(split.valid.size(), 1478U);
    std::vector<std::size_t> all = split.train;
    all.insert(all.end(), split.valid.begin(), split.valid.end());
    std::sort(all.begin(), all.end());
    ASSERT_EQ(all.size(), 7390U);
    for (std::size_t i = 0; i < all.size(); ++i) ASSERT_EQ(all[i], i);
    EXPECT_EQ(random_split(296, 0.2, 1).valid.size(), 59U);
}

TEST(split, depends_on_the_seed_alone_and_favours_nobody) {
    EXPECT_EQ(random_split(1000, 0.2, 1).valid, random_split(1000, 0.2, 1).valid);
    EXPECT_NE(random_split(1000, 0.2, 1).valid, random_split(1000, 0.2, 2).valid);
    constexpr std::size_t count = 50;
    constexpr int seeds = 4000;
    std::vector<int> chosen(count, 0);
    for (int seed = 0; seed < seeds; ++seed)
        for (std::size_t i : random_split(count, 0.2, static_cast<std::uint64_t>(seed)).valid) ++chosen[i];
    const double deviation = std::sqrt(seeds * 0.2 * 0.8);
    for (int times : chosen) EXPECT_NEAR(times, seeds * 0.2, 5 * deviation);
}

TEST(split, refuses_sets_that_would_be_empty) {
    EXPECT_THROW((void)random_split(100, 0, 1), usage_error);
    EXPECT_THROW((void)random_split(100, 1, 1), usage_error);
    EXPECT_THROW((void)random_split(100, std::nan(""), 1), usage_error);
    EXPECT_THAT(message_of<input_error>([] { (void)random_split(4, 0.2, 1); }),
                HasSubstr("no photograph to validate"));
}

TEST(split, an_epoch_is_a_permutation_of_its_own) {
    const std::vector<std::size_t> train{3, 5, 8, 13, 21, 34, 55, 89};
    const auto first = epoch_order(train, 7, 0);
    EXPECT_THAT(first, ::testing::UnorderedElementsAreArray(train));
    EXPECT_EQ(first, epoch_order(train, 7, 0));
    EXPECT_NE(first, epoch_order(train, 7, 1));
    EXPECT_NE(first, epoch_order(train, 8, 0));
}

namespace {

class split_list : public ::testing::Test {
  protected:
    split_list() {
        for (const char* name : {"a/1.jpg", "a/2.jpg", "b/1.jpg", "c.jpg"})
            photos_.photos.push_back({name, 1});
        photos_.root = "photos";
    }
    photo_split by(std::string_view text) { return split_by_list(photos_, folder_.write("valid.txt", text)); }
    std::string refusal(std::string_view text) {
        return message_of<input_error>([&] { (void)by(text); });
    }
    test::temporary_folder folder_;
    image_folder photos_;
};

} // namespace

TEST_F(split_list, reads_paths_and_unambiguous_names) {
    const photo_split split = by("\r\n  2.jpg\t\r\n\nb/1.jpg");
    EXPECT_THAT(split.valid, ElementsAre(1, 2));
    EXPECT_THAT(split.train, ElementsAre(0, 3));
}

TEST_F(split_list, reads_a_byte_order_mark_and_every_spelling_of_a_path) {
    EXPECT_THAT(by("\xef\xbb\xbf./a//2.jpg\r\nb/../c.jpg\n").valid, ElementsAre(1, 3));
    EXPECT_THAT(by("photos/b/1.jpg\n").valid, ElementsAre(2)); // from the folder above, and from here
    EXPECT_THAT(by(std::filesystem::absolute("photos/a/1.jpg").string()).valid, ElementsAre(0));
    photos_.root = "/data/pets/images/";
    EXPECT_THAT(by("/data/pets/images/a/1.jpg\nimages/b/1.jpg").valid, ElementsAre(0, 2));
    EXPECT_THAT(refusal("\xff\xfe"
                        "c"),
                HasSubstr("UTF-16"));
}

TEST_F(split_list, reads_the_lists_of_the_pets) {
    photos_.photos = {{"Abyssinian_100.jpg", 1}, {"Abyssinian_101.jpg", 1}, {"pug_1.jpg", 1}, {"a b.jpg", 1}};
    EXPECT_THAT(by("#Image CLASS-ID SPECIES BREED ID\nAbyssinian_100 1 1 1\npug_1 26 2 17\n").valid,
                ElementsAre(0, 2));
    EXPECT_THAT(by("a b.jpg\n").valid, ElementsAre(3));
    EXPECT_THAT(refusal("pug_2 26 2 17\n"), HasSubstr("line 1: pug_2 26 2 17 is not a photograph"));
    EXPECT_THAT(refusal("pug_1 26 2\n"), HasSubstr("is not a photograph"));
}

TEST_F(split_list, reads_every_name_that_it_writes) {
    const std::vector<std::string> names{"two\nlines.jpg", " blank.jpg", "\"quoted\".jpg", "back\\slash.jpg",
                                         "\"\\\r\n\".jpg", "#1.jpg",     "plain.jpg"};
    photos_.photos.clear();
    for (const std::string& name : names) photos_.photos.push_back({name, 1});
    photos_.photos.push_back({"to_train.jpg", 1});
    EXPECT_THAT(by(list_of(names)).valid, ElementsAre(0, 1, 2, 3, 4, 5, 6));
    EXPECT_EQ(list_of({"a.jpg", "b.jpg"}), "a.jpg\nb.jpg\n");
}

TEST_F(split_list, refuses_what_it_cannot_place) {
    EXPECT_THAT(refusal("c.jpg\nd.jpg\n"),
                HasSubstr("valid.txt, line 2: d.jpg is not a photograph in photos"));
    EXPECT_THAT(refusal("1.jpg"), HasSubstr("line 1: 1.jpg names several"));
    EXPECT_THAT(refusal("c.jpg\n\nc.jpg"), HasSubstr("line 3: c.jpg is named twice"));
    EXPECT_THAT(refusal("2.jpg\na/2.jpg"), HasSubstr("named twice"));
    EXPECT_THAT(refusal(" \n"), HasSubstr("no photograph to validate"));
    EXPECT_THAT(refusal("a/1.jpg\na/2.jpg\nb/1.jpg\nc.jpg"), HasSubstr("none to train"));
    EXPECT_THROW((void)split_by_list(photos_, folder_.path() / "gone.txt"), input_error);
}
