// SPDX-License-Identifier: Apache-2.0
#include "data/label_table.hpp"

#include "data/delimited_text.hpp"
#include "data/labels.hpp"
#include "tests/data/test_folder.hpp"

using namespace petnet;
using namespace petnet::data;
using petnet::test::message_of;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

namespace {

std::vector<std::vector<std::string>> fields_of(std::string_view text) {
    std::vector<std::vector<std::string>> all;
    for (const text_row& row : read_delimited(text, "t.csv")) all.push_back(row.fields);
    return all;
}

class label_table_test : public ::testing::Test {
  protected:
    label_table_test() { reset(); }
    void reset() {
        photos_ = {};
        photos_.root = "photos";
        for (const char* name : {"a/1.jpg", "a/2.jpg", "b/1.jpg", "c.jpg"})
            photos_.photos.push_back({name, 1});
        photos_.broken.push_back({"torn.jpg", "torn.jpg: the file is empty"});
    }
    table_labels read(std::string_view text, const table_columns& columns = {}) {
        reset();
        return read_label_table(photos_, folder_.write("t.csv", text), columns);
    }
    std::string refusal(std::string_view text, const table_columns& columns = {}) {
        return message_of<input_error>([&] { (void)read(text, columns); });
    }
    std::vector<std::string> left() const {
        std::vector<std::string> names;
        for (const photo_entry& photo : photos_.photos) names.push_back(photo.name);
        return names;
    }
    test::temporary_folder folder_;
    image_folder photos_;
};

} // namespace

TEST(delimited_text, separators_quotes_and_line_ends) {
    using rows = std::vector<std::vector<std::string>>;
    EXPECT_EQ(fields_of("a,b\nc,d"), (rows{{"a", "b"}, {"c", "d"}}));
    EXPECT_EQ(fields_of("a;b\r\nc;d,e\r\n\r\n"), (rows{{"a", "b"}, {"c", "d,e"}}));
    EXPECT_EQ(fields_of("a\tb\rc\t\r"), (rows{{"a", "b"}, {"c", ""}}));
    EXPECT_EQ(fields_of(" a , \"b, \"\"c\"\"\nd\" \n"), (rows{{"a", "b, \"c\"\nd"}}));
    EXPECT_EQ(fields_of("\"x,y,z\";b\n"), (rows{{"x,y,z", "b"}}));
    EXPECT_EQ(fields_of(",\n"), (rows{{"", ""}}));
    EXPECT_EQ(fields_of("\n\n"), rows{});
    EXPECT_EQ(read_delimited("a,b\n\"c\n\",d\n\ne,f", "t.csv").at(2).line, 5U);
}

TEST(delimited_text, says_what_is_wrong_and_where) {
    const auto refusal = [](std::string_view text) {
        return message_of<input_error>([&] { (void)read_delimited(text, "t.csv"); });
    };
    EXPECT_EQ(refusal("a,b\nc\n"), "t.csv, line 2 has 1 fields, the first row has 2");
    EXPECT_EQ(refusal("a,b\nc,\"d\n\n"), "t.csv, line 2 begins a field in quotation marks that does not end");
    EXPECT_EQ(refusal("a,b\n\"c\"d,e"), "t.csv, line 2 goes on after a field in quotation marks");
}

TEST_F(label_table_test, first_column_is_the_file_and_second_the_label) {
    for (const char* text : {"name,label\na/1.jpg,cat\nc.jpg,dog\n", "a/1.jpg,cat\nc.jpg,dog\n",
                             "\xef\xbb\xbfname;label\r\n./a//1.jpg;cat\r\n\"c.jpg\";\"dog\"\r\n",
                             "id\tbreed\tnote\na/1.jpg\tcat\tx\nphotos/c.jpg\tdog\ty\n"}) {
        SCOPED_TRACE(text);
        const table_labels found = read(text);
        EXPECT_THAT(left(), ElementsAre("a/1.jpg", "c.jpg"));
        EXPECT_THAT(found.of_photo, ElementsAre("cat", "dog"));
        EXPECT_EQ(found.not_listed, 2U);
        EXPECT_TRUE(found.validates.empty());
        EXPECT_TRUE(photos_.broken.empty());
    }
}

TEST_F(label_table_test, names_may_lack_the_extension) {
    EXPECT_THAT(read("id,breed\nc,pug\n2,beagle\n").of_photo, ElementsAre("beagle", "pug"));
}

TEST_F(label_table_test, columns_by_name_or_number) {
    const std::string text = "split,what,path\ntrain,cat,a/1.jpg\nvalid,dog,c.jpg\n";
    const table_labels found = read(text, {.file = "path", .label = "1", .valid = "split"});
    EXPECT_THAT(found.of_photo, ElementsAre("cat", "dog"));
    EXPECT_THAT(found.validates, ElementsAre(false, true));
    for (const char* value : {"True", "1", "val"})
        EXPECT_THAT(
            read(std::string("c.jpg,dog,") + value + "\n", {.file = "", .label = "", .valid = "2"}).validates,
            ElementsAre(true))
            << value;
    EXPECT_THAT(refusal(text, {.file = "path", .label = "1", .valid = "what"}),
                HasSubstr("line 2: \"cat\" does not say whether"));
    EXPECT_THAT(
        refusal(text, {.file = "file", .label = "", .valid = ""}),
        HasSubstr("line 1: --file-column file: there is no such column; there are split, what, path"));
    EXPECT_THAT(refusal(text, {.file = "path", .label = "3", .valid = ""}), HasSubstr("no column 3"));
    EXPECT_THAT(refusal("a/1.jpg\n"), HasSubstr("no column 1"));
}

TEST_F(label_table_test, rows_of_broken_or_missing_photographs_are_broken_photographs) {
    const table_labels found = read("c.jpg,dog\ngone.jpg,cat\ntorn.jpg,bird\n");
    EXPECT_THAT(found.of_photo, ElementsAre("dog"));
    ASSERT_EQ(photos_.broken.size(), 2U);
    EXPECT_THAT(photos_.broken[0].reason, HasSubstr("gone.jpg: there is no such photograph ("));
    EXPECT_THAT(photos_.broken[0].reason, HasSubstr("line 2)"));
    EXPECT_EQ(photos_.broken[1].reason, "torn.jpg: the file is empty");
    ASSERT_EQ(found.broken.size(), 2U);
    EXPECT_EQ(found.broken[1].label, "bird");
}

TEST_F(label_table_test, a_photograph_has_one_label) {
    EXPECT_THAT(read("c.jpg,dog\nc.jpg,dog\n").of_photo, ElementsAre("dog"));
    EXPECT_THAT(refusal("c.jpg,dog\n./c.jpg,dog\nc.jpg,cat\n"),
                HasSubstr("line 2: ./c.jpg is named in line 1 too, with other fields"));
    EXPECT_EQ(read("c.jpg,dog\n,cat\n").broken.size(), 1U); // a row without a name names no photograph
    EXPECT_THAT(refusal("c.jpg,\n"), HasSubstr("c.jpg has no label"));
    EXPECT_THAT(refusal("1.jpg,dog\n"), HasSubstr("1.jpg names several"));
    EXPECT_THAT(refusal(""), HasSubstr("empty table"));
    EXPECT_THAT(refusal("x.jpg,dog\n"), HasSubstr("no row of "));
}

TEST_F(label_table_test, lies_in_the_data_set_or_elsewhere) {
    dataset_folder set{.photographs = photos_, .split = {}, .others = {}};
    const std::filesystem::path elsewhere = folder_.write("else.csv", "a/1.jpg,cat\nc.jpg,dog\n");
    folder_.write("data/t.csv", "a/1.jpg,dog\nb/1.jpg,cat\n");
    const labelled_photos found = label_dataset(set, folder_.path() / "data", {"csv=t.csv", {}});
    EXPECT_THAT(found.labels.class_names, ElementsAre("cat", "dog"));
    EXPECT_THAT(found.labels.of_photo, ElementsAre(1, 0));
    EXPECT_THAT(found.warnings, ElementsAre(HasSubstr("2 photographs are not in ")));
    set.photographs = photos_;
    EXPECT_THAT(
        label_dataset(set, folder_.path() / "data", {"csv=" + elsewhere.string(), {}}).labels.of_photo,
        ElementsAre(0, 1));
}
