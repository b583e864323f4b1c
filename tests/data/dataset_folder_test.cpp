// SPDX-License-Identifier: Apache-2.0
#include "data/dataset_folder.hpp"

#include "data/labels.hpp"
#include "data/split.hpp"
#include "tests/data/test_folder.hpp"

#include <filesystem>

using namespace petnet;
using namespace petnet::data;
using petnet::test::jpeg_start;
using petnet::test::message_of;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

namespace {

class dataset_folder_test : public ::testing::Test {
  protected:
    // With a JPEG of each name.
    dataset_folder set_of(const std::vector<std::string>& names) {
        for (const std::string& name : names) folder_.write(name, jpeg_start);
        return open_dataset_folder(folder_.path());
    }
    static std::vector<std::string> names_of(const dataset_folder& set) {
        std::vector<std::string> names;
        for (const photo_entry& photo : set.photographs.photos) names.push_back(photo.name);
        return names;
    }
    test::temporary_folder folder_;
};

} // namespace

TEST_F(dataset_folder_test, images_alone_is_read_where_nothing_beside_it_could_be_a_class) {
    const dataset_folder set =
        set_of({"images/a.jpg", "images/misc/b.jpg", "annotations/trimaps/c.png", "preview.jpg"});
    EXPECT_EQ(set.photographs.root, folder_.path() / "images");
    EXPECT_THAT(names_of(set), ElementsAre("a.jpg", "misc/b.jpg"));
    EXPECT_THAT(set.warnings(), ElementsAre(HasSubstr("1 photographs in the folder of images/")));
    EXPECT_FALSE(set.split);
}

TEST_F(dataset_folder_test, images_beside_classes_is_a_class) {
    const dataset_folder set = set_of({"images/misc1/a.jpg", "cat/b.jpg", "dog/c.jpg"});
    EXPECT_EQ(set.photographs.root, folder_.path());
    EXPECT_THAT(names_of(set), ElementsAre("cat/b.jpg", "dog/c.jpg", "images/misc1/a.jpg"));
    EXPECT_THAT(set.warnings(), IsEmpty());
}

TEST_F(dataset_folder_test, train_and_valid_are_the_split_and_the_rest_is_left_alone) {
    for (const char* valid : {"valid", "val", "validation", "Val"}) {
        SCOPED_TRACE(valid);
        const std::string name = valid;
        std::filesystem::remove_all(folder_.path());
        const dataset_folder set =
            set_of({"train/cat/1.jpg", "train/dog/1.jpg", name + "/cat/2.jpg", name + "/dog/2.jpg",
                    "test/1.jpg", "test/2.jpg", "unsup/3.jpg", "loose.jpg"});
        ASSERT_TRUE(set.split);
        EXPECT_EQ(set.split->train, "train");
        EXPECT_EQ(set.split->valid, name);
        EXPECT_EQ(set.photographs.photos.size(), 4U);
        EXPECT_THAT(set.warnings(), ElementsAre(HasSubstr("1 photographs in the folder itself"),
                                                HasSubstr("2 photographs in test/ are left alone"),
                                                HasSubstr("1 photographs in unsup/")));
        EXPECT_EQ(default_rule(set), "folder");
        const photo_split split = split_by_folders(set.photographs, *set.split);
        EXPECT_EQ(split.train.size(), 2U);
        for (const std::size_t i : split.valid) EXPECT_THAT(names_of(set)[i], ::testing::StartsWith(name));
    }
}

TEST_F(dataset_folder_test, photographs_in_no_class_folder_of_a_split_are_left_alone) {
    const dataset_folder set = set_of(
        {"train/cat/1.jpg", "train/dog/1.jpg", "train/stray.jpg", "valid/cat/2.jpg", "valid/dog/2.jpg"});
    EXPECT_THAT(names_of(set),
                ElementsAre("train/cat/1.jpg", "train/dog/1.jpg", "valid/cat/2.jpg", "valid/dog/2.jpg"));
    EXPECT_THAT(set.warnings(), ElementsAre(HasSubstr("1 photographs in train/ itself")));
}

TEST_F(dataset_folder_test, a_split_may_have_no_class_folders) {
    const dataset_folder set = set_of({"train/Cat_1.jpg", "train/dog_1.jpg", "valid/Cat_2.jpg"});
    EXPECT_EQ(names_of(set).size(), 3U);
    EXPECT_EQ(default_rule(set), "cat-dog");
}

TEST_F(dataset_folder_test, test_beside_train_is_no_class) {
    const dataset_folder set = set_of({"train/cat/1.jpg", "train/dog/1.jpg", "test/1.jpg"});
    EXPECT_THAT(names_of(set), ElementsAre("train/cat/1.jpg", "train/dog/1.jpg"));
    EXPECT_FALSE(set.split);
    EXPECT_THAT(set.warnings(), ElementsAre(HasSubstr("1 photographs in test/")));
}

TEST_F(dataset_folder_test, vehicles_may_be_called_train) {
    EXPECT_THAT(names_of(set_of({"bus/1.jpg", "train/1.jpg", "test/1.jpg"})),
                ElementsAre("bus/1.jpg", "test/1.jpg", "train/1.jpg"));
}

TEST_F(dataset_folder_test, one_folder_around_everything_does_not_matter) {
    const dataset_folder set =
        set_of({"pets/images/train/cat/1.jpg", "pets/images/valid/cat/2.jpg", "pets/images/test/3.jpg"});
    ASSERT_TRUE(set.split);
    EXPECT_EQ(set.photographs.root, folder_.path() / "pets/images");
    EXPECT_THAT(names_of(set), ElementsAre("train/cat/1.jpg", "valid/cat/2.jpg"));
}

TEST_F(dataset_folder_test, says_where_no_photograph_is_left) {
    folder_.write("other/a.jpg", jpeg_start);
    folder_.write("train/a.jpg", "");
    folder_.write("valid/b.jpg", "");
    EXPECT_THAT(message_of<input_error>([&] { (void)open_dataset_folder(folder_.path()); }),
                HasSubstr("can be read, the first is train/a.jpg: the file is empty"));
}

TEST_F(dataset_folder_test, the_default_rule_is_no_guess) {
    EXPECT_EQ(default_rule(set_of({"Cat_1.jpg", "dog_1.jpg"})), "cat-dog");
    EXPECT_EQ(default_rule(set_of({"all/Cat_1.jpg"})), "cat-dog"); // one folder is no class
    EXPECT_THAT(message_of<input_error>([&] {
                    (void)default_rule(set_of({"cat/1.jpg", "dog/1.jpg"}));
                }),
                HasSubstr("3 folders"));
}

TEST_F(dataset_folder_test, class_folders_are_the_default_where_all_photographs_lie_in_them) {
    EXPECT_EQ(default_rule(set_of({"a/cat/IMG_1.jpg", "b/dog/photo1.jpg"})), "folder");
}

TEST_F(dataset_folder_test, a_class_whose_photographs_are_all_broken_is_lost) {
    folder_.write("bird/1.heic", "ftyp");
    dataset_folder set = set_of({"cat/1.jpg", "dog/1.jpg"});
    EXPECT_THAT(message_of<input_error>([&] {
                    require_no_lost_class(label_dataset(set, folder_.path(), {"folder", {}}));
                }),
                HasSubstr("no photograph of the class \"bird\""));
    folder_.write("bird/2.jpg", jpeg_start);
    dataset_folder found = open_dataset_folder(folder_.path());
    EXPECT_NO_THROW(require_no_lost_class(label_dataset(found, folder_.path(), {"folder", {}})));
}
