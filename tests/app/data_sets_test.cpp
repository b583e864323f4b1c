// SPDX-License-Identifier: Apache-2.0
// Folders as people have them: classes in folders, splits in folders, and what lies beside them.
#include "tests/app/folders.hpp"

#include <gmock/gmock.h>

namespace petnet::testing {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

class data_sets : public work_folder {
  protected:
    // Photographs that say nothing by their names, `count` in each folder.
    std::string fill(const std::vector<std::string>& folders, std::size_t count = 5) const {
        std::size_t number = 0;
        photographs("all", folders.size() * count);
        std::vector<fs::path> all(fs::directory_iterator(at("all")), fs::directory_iterator{});
        std::ranges::sort(all);
        for (const std::string& folder : folders) {
            fs::create_directories(folder_of(folder));
            for (std::size_t i = 0; i < count; ++i, ++number)
                fs::copy(all[number], folder_of(folder) / ((number % 2 == 0 ? "IMG_" : "photo") +
                                                           std::to_string(number) + ".jpg"));
        }
        return at("d");
    }
    [[nodiscard]] fs::path folder_of(const std::string& name) const { return fs::path(at("d")) / name; }
    outcome trained(const arguments& more = {}) const {
        arguments all = frozen();
        all.insert(all.end(), more.begin(), more.end());
        return run(training(at("d"), "o", all));
    }
};

TEST_F(data_sets, class_folders_are_used_where_no_labels_are_given_and_it_is_said) {
    fill({"cat", "dog"});
    const outcome result = trained();
    ASSERT_EQ(result.code, 0) << result.err;
    EXPECT_THAT(result.err, HasSubstr("Warning: the photographs lie in folders"));
    EXPECT_EQ(record_of("o").at("options").at("labels"), "folder");
    EXPECT_EQ(record_of("o").at("classes"), (std::vector<std::string>{"cat", "dog"}));
    // By name they would be cats and dogs by chance; who asks for it gets it.
    EXPECT_THAT(run_to_first_step(training(at("d"), "n", {"--labels", "cat-dog"}), "n").err,
                Not(HasSubstr("Warning: the photographs")));
}

TEST_F(data_sets, folders_split_them_and_a_test_set_is_left_alone) {
    fill({"train/cat", "train/dog", "valid/cat", "valid/dog", "test"}, 4);
    const outcome result = trained();
    ASSERT_EQ(result.code, 0) << result.err;
    EXPECT_THAT(result.err, HasSubstr("8 to train, 8 to validate, split by train/ and valid/"));
    EXPECT_THAT(result.err, HasSubstr("Warning: 4 photographs in test/ are left alone"));
    for (const std::string& line : lines_of(content_of(at("o/valid.txt"))))
        EXPECT_THAT(line, HasSubstr("valid/"));
    const outcome random = run_to_first_step(training(at("d"), "r", {"--split", "random"}), "r");
    EXPECT_THAT(random.err, HasSubstr("13 to train, 3 to validate, split at random"));
    const outcome part = run_to_first_step(training(at("d"), "p", {"--valid-pct", "0.5"}), "p");
    EXPECT_THAT(part.err, HasSubstr("8 to train, 8 to validate, split at random"));
    const outcome judged = run({"evaluate", "--model", at("o"), "--data", at("d")});
    ASSERT_EQ(judged.code, 0) << judged.err;
    EXPECT_THAT(judged.err, HasSubstr("8 photographs of"));
}

TEST_F(data_sets, a_split_that_does_not_fit_is_refused) {
    fill({"train/cat", "train/dog", "valid/cat", "valid/bird"}, 4);
    EXPECT_TRUE(refused(trained(), 3, {"valid/bird", "no photograph to train", "\"bird\""}));
    EXPECT_TRUE(refused(trained({"--split", "folders", "--valid-pct", "0.3"}), 2,
                        {"--valid-pct", "--split folders"}));
    EXPECT_TRUE(refused(trained({"--split", "half"}), 2, {"auto, random or folders"}));
    fs::rename(folder_of("valid"), folder_of("other"));
    EXPECT_TRUE(refused(trained({"--split", "folders"}), 3, {"valid/, val/"}));
    EXPECT_FALSE(fs::exists(at("o")));
}

TEST_F(data_sets, a_class_that_cannot_be_read_is_no_loss_in_silence) {
    fill({"cat", "dog"}, 5);
    write("d/bird/1.heic", "ftypheic");
    EXPECT_TRUE(refused(trained(), 3, {"\"bird\"", "bird/1.heic", "--max-bad-images"}));
    const outcome allowed = trained({"--max-bad-images", "0.2"});
    EXPECT_EQ(allowed.code, 0) << allowed.err;
    EXPECT_THAT(allowed.err, HasSubstr("1 photographs are broken"));
}

TEST_F(data_sets, hidden_files_are_counted_in_one_line) {
    fill({"cat", "dog"});
    write("d/.DS_Store", "x");
    write("d/cat/.ipynb_checkpoints/a.jpg", "x");
    const outcome result = trained({"--labels", "folder"});
    ASSERT_EQ(result.code, 0) << result.err;
    EXPECT_THAT(result.err, HasSubstr("Hidden    2 files and folders, which are left alone"));
    EXPECT_EQ(record_of("o").at("photographs").at("hidden"), 2);
}

TEST_F(data_sets, one_class_alone_can_be_evaluated) {
    fill({"cat", "dog"});
    ASSERT_EQ(trained().code, 0);
    fs::remove_all(folder_of("dog"));
    const outcome result = run({"evaluate", "--model", at("o"), "--data", at("d")});
    EXPECT_EQ(result.code, 0) << result.err;
    EXPECT_THAT(result.out, HasSubstr("of 5)"));
}

TEST_F(data_sets, labels_come_from_a_table) {
    fill({"a", "b"}, 4);
    write("d/labels.csv", "use,file,what\ntrain,IMG_0.jpg,x\ntrain,a/photo1.jpg,y\ntrain,a/IMG_2.jpg,x\n"
                          "train,./a/photo3.jpg,y\nvalid,b/IMG_4.jpg,x\nvalid,photo5.jpg,y\n");
    const arguments table{"--labels",       "csv=labels.csv", "--file-column",  "file",
                          "--label-column", "what",           "--valid-column", "use"};
    const outcome result = trained(table);
    ASSERT_EQ(result.code, 0) << result.err;
    EXPECT_THAT(result.err, HasSubstr("4 to train, 2 to validate, split by the column use"));
    EXPECT_THAT(result.err, HasSubstr("Warning: 2 photographs are not in "));
    EXPECT_EQ(record_of("o").at("classes"), (std::vector<std::string>{"x", "y"}));
    EXPECT_EQ(content_of(at("o/valid.txt")), "b/IMG_4.jpg\nb/photo5.jpg\n");
    arguments judged{"evaluate", "--model", at("o"), "--data", at("d")};
    judged.insert(judged.end(), table.begin(), table.end());
    EXPECT_THAT(run(judged).err, HasSubstr("2 photographs of"));
    arguments shown{"inspect", at("d")};
    shown.insert(shown.end(), table.begin(), table.end());
    EXPECT_THAT(run(shown).out, HasSubstr("2 classes by --labels csv=labels.csv"));
    // Other labels in the same table are another run.
    std::string changed = content_of(at("d/labels.csv"));
    changed.replace(changed.find("IMG_0.jpg,x"), 11, "IMG_0.jpg,y");
    write("d/labels.csv", changed);
    arguments again = table;
    again.insert(again.end(), {"--epochs", "0"});
    run_to_first_step(training(at("d"), "p", again), "p");
    EXPECT_NE(record_of("p").at("identity"), record_of("o").at("identity"));
    EXPECT_TRUE(refused(trained({"--labels", "csv=none.csv"}), 3, {"none.csv"}));
    EXPECT_TRUE(refused(trained({"--labels", "folder", "--file-column", "1"}), 2, {"csv=FILE"}));
}

TEST_F(data_sets, of_an_option_given_twice_the_last_counts) {
    fill({"cat", "dog"});
    const outcome result = trained({"--seed", "1", "--labels", "breed", "--labels", "folder", "--seed", "2"});
    ASSERT_EQ(result.code, 0) << result.err;
    EXPECT_EQ(record_of("o").at("seed"), 2);
    EXPECT_TRUE(refused(run({"inspect", at("d"), at("d/cat")}), 2, {"cat"}))
        << "one of two files is not enough";
}

} // namespace
} // namespace petnet::testing
