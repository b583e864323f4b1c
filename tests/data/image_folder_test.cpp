// SPDX-License-Identifier: Apache-2.0
#include "data/image_folder.hpp"

#include "tests/data/test_folder.hpp"

#include <chrono>
#include <fstream>

using namespace petnet;
using namespace petnet::data;
using petnet::test::jpeg_start;
using petnet::test::message_of;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
namespace fs = std::filesystem;

namespace {

std::vector<std::string> names_of(const image_folder& folder) {
    std::vector<std::string> names;
    for (const photo_entry& photo : folder.photos) names.push_back(photo.name);
    return names;
}

class image_folder_test : public ::testing::Test {
  protected:
    test::temporary_folder folder_;
};

} // namespace

TEST_F(image_folder_test, content_decides_and_names_are_sorted_by_bytes) {
    folder_.write("b.jpg", jpeg_start);
    folder_.write("B.jpg", jpeg_start);
    folder_.write("sub/deep/z.jpeg", "GIF89a");
    folder_.write("no_extension", "\x89PNG\r\n\x1a\n");
    folder_.write("\xc3\xa9t\xc3\xa9.jpg", jpeg_start);
    folder_.write("Abyssinian_1.mat", "MATLAB 5.0 MAT-file");
    folder_.write("notes.txt", "BM is how a BMP begins, and a sentence can");
    folder_.write("empty.JPG", "");
    folder_.write("page.jpg", "<html>");
    folder_.write("._b.jpg", std::string_view("\0\5\x16\7", 4));
    const image_folder found = open_image_folder(folder_.path());
    EXPECT_THAT(names_of(found),
                ElementsAre("B.jpg", "b.jpg", "no_extension", "sub/deep/z.jpeg", "\xc3\xa9t\xc3\xa9.jpg"));
    EXPECT_THAT(found.skipped, ElementsAre("Abyssinian_1.mat", "notes.txt"));
    EXPECT_EQ(found.hidden, 1U);
    ASSERT_EQ(found.broken.size(), 2U);
    EXPECT_EQ(found.broken[0].reason, "empty.JPG: the file is empty");
    EXPECT_EQ(found.broken[1].reason, "page.jpg: not a JPEG, PNG, GIF, BMP, WebP or TIFF image");
    EXPECT_EQ(found.photos[0].bytes, jpeg_start.size());
}

TEST_F(image_folder_test, knows_webp_and_tiff_by_content_and_by_name) {
    folder_.write("a", std::string_view("RIFF\x10\0\0\0WEBPVP8L", 16));
    folder_.write("b", std::string_view("II*\0\x8\0\0\0", 8));
    folder_.write("c.jpg", std::string_view("MM\0*\0\0\0\x8", 8));
    for (const char* name : {"d.webp", "e.tif", "f.TIFF"})
        folder_.write(name, std::string_view("RIFF\x10\0\0\0WAVEfmt ", 16));
    folder_.write("g.wav", std::string_view("RIFF\x10\0\0\0WAVEfmt ", 16));
    const image_folder found = open_image_folder(folder_.path());
    EXPECT_THAT(names_of(found), ElementsAre("a", "b", "c.jpg"));
    EXPECT_EQ(found.broken.size(), 3U);
    EXPECT_THAT(found.skipped, ElementsAre("g.wav"));
}

// fastai's get_image_files leaves out names with a dot in front; the others are of systems that it does not
// know.
TEST_F(image_folder_test, leaves_hidden_files_and_folders_alone) {
    folder_.write("cat/a.jpg", jpeg_start);
    for (const char* name :
         {".hidden.jpg", ".ipynb_checkpoints/a-checkpoint.jpg", "cat/.thumbnails/deep/7.jpg",
          "cat/.trashed-1700000000-b.jpg", "cat/._a.jpg", "__MACOSX/cat/._a.jpg", "@eaDir/a.jpg",
          "cat/Thumbs.db", "$RECYCLE.BIN/b.jpg", "lost+found/c.jpg"})
        folder_.write(name, jpeg_start);
    folder_.write("cat/not.hidden.jpg", jpeg_start);
    const image_folder found = open_image_folder(folder_.path());
    EXPECT_THAT(names_of(found), ElementsAre("cat/a.jpg", "cat/not.hidden.jpg"));
    EXPECT_EQ(found.hidden, 10U);
    EXPECT_THAT(found.skipped, ::testing::IsEmpty());
}

TEST_F(image_folder_test, calls_photographs_of_formats_that_it_does_not_read_broken) {
    folder_.write("a.jpg", jpeg_start);
    folder_.write("IMG_1.HEIC", "ftypheic");
    const image_folder found = open_image_folder(folder_.path());
    ASSERT_EQ(found.broken.size(), 1U);
    EXPECT_EQ(found.broken[0].name, "IMG_1.HEIC");
}

TEST_F(image_folder_test, follows_links_to_folders_and_ends_in_loops) {
    const fs::path root = folder_.path() / "root", elsewhere = folder_.path() / "elsewhere";
    folder_.write("elsewhere/deep/1.jpg", jpeg_start);
    folder_.write("root/b/real.jpg", jpeg_start);
    fs::create_directory_symlink(elsewhere, root / "linked");
    fs::create_directory_symlink(elsewhere / "deep", root / "only_by_a_longer_name");
    fs::create_directory_symlink(root, root / "b/loop");
    fs::create_directory_symlink("b", root / "a_first_by_name"); // the folder keeps its own name
    fs::create_directory_symlink(root / "b", elsewhere / "back");
    fs::create_directory_symlink("self", root / "self");
    const image_folder found = open_image_folder(root);
    EXPECT_THAT(names_of(found), ElementsAre("b/real.jpg", "linked/deep/1.jpg"));
    EXPECT_EQ(found.repeated, 4U);
    EXPECT_THAT(found.skipped, ElementsAre("self")); // leads nowhere
}

TEST_F(image_folder_test, follows_links_to_files_but_not_beside_the_files) {
    const fs::path root = folder_.path() / "root";
    const fs::path outside = folder_.write("outside.jpg", jpeg_start);
    const fs::path real = folder_.write("root/z/real.jpg", jpeg_start);
    fs::create_hard_link(real, root / "z/hard.jpg");
    fs::create_symlink(real, root / "a.jpg");
    fs::create_symlink(outside, root / "b.jpg");
    fs::create_symlink(outside, root / "c.jpg"); // to train on it twice
    fs::create_symlink("gone.jpg", root / "dangling.jpg");
    const image_folder found = open_image_folder(root);
    EXPECT_THAT(names_of(found), ElementsAre("b.jpg", "c.jpg", "z/hard.jpg", "z/real.jpg"));
    EXPECT_EQ(found.repeated, 1U);
    ASSERT_EQ(found.broken.size(), 1U);
    EXPECT_EQ(found.broken[0].reason, "dangling.jpg: cannot be read: No such file or directory");
}

TEST_F(image_folder_test, refuses_in_plain_words) {
    EXPECT_THAT(message_of<input_error>([&] { (void)open_image_folder(folder_.path() / "gone"); }),
                HasSubstr("no such folder: " + (folder_.path() / "gone").string()));
    const fs::path file = folder_.write("file.txt", "text");
    EXPECT_THAT(message_of<input_error>([&] { (void)open_image_folder(file); }),
                HasSubstr("is not a folder"));
    EXPECT_THAT(
        message_of<input_error>([&] { (void)open_image_folder(folder_.path()); }),
        ::testing::AllOf(HasSubstr("no photograph in "), HasSubstr("JPEG, PNG, GIF, BMP, WebP or TIFF")));
    fs::create_symlink("gone", folder_.path() / "a.jpg");
    EXPECT_THAT(message_of<input_error>([&] { (void)open_image_folder(folder_.path()); }),
                HasSubstr("2 other files are there: a.jpg: cannot be read: No such file or directory)"));
}

// One file must not refuse a folder: what cannot be read is broken where its name says that it is a
// photograph.
TEST_F(image_folder_test, counts_what_it_cannot_read_as_broken) {
    folder_.write("a.jpg", jpeg_start);
    for (const char* name : {"secret.jpg", "secret.txt"})
        fs::permissions(folder_.write(name, jpeg_start), fs::perms::none);
    // Root may read everything; the rights of the thread's file accesses are its own.
    const bool root = ::geteuid() == 0;
    if (root) {
        fs::permissions(folder_.path(), fs::perms::all);
        ASSERT_EQ(::seteuid(65534), 0);
    }
    image_folder found;
    std::string failure;
    try {
        found = open_image_folder(folder_.path(), 1);
    } catch (const input_error& problem) {
        failure = problem.what();
    }
    if (root) {
        ASSERT_EQ(::seteuid(0), 0);
    }
    ASSERT_EQ(failure, "");
    EXPECT_THAT(names_of(found), ElementsAre("a.jpg"));
    ASSERT_EQ(found.broken.size(), 1U);
    EXPECT_EQ(found.broken[0].name, "secret.jpg");
    EXPECT_THAT(found.broken[0].reason, HasSubstr("secret.jpg: cannot be read: Permission denied"));
    EXPECT_THAT(found.skipped, ElementsAre("secret.txt"));
}

TEST_F(image_folder_test, the_fingerprint_tells_a_changed_file) {
    folder_.write("a.jpg", jpeg_start);
    folder_.write("b.jpg", jpeg_start);
    const std::string before = open_image_folder(folder_.path()).fingerprint();
    EXPECT_EQ(open_image_folder(folder_.path(), 5).fingerprint(), before);
    fs::last_write_time(folder_.path() / "a.jpg", fs::file_time_type::clock::now() + std::chrono::seconds(5));
    EXPECT_EQ(open_image_folder(folder_.path()).fingerprint(), before)
        << "a copy of the data is the same data";
    folder_.write("a.jpg", std::string(jpeg_start) + "longer");
    EXPECT_NE(open_image_folder(folder_.path()).fingerprint(), before);
}

TEST_F(image_folder_test, lists_twenty_thousand_files_quickly) {
    constexpr int count = 20'000;
    for (int i = 0; i < count; ++i)
        std::ofstream(folder_.path() / (std::to_string(i) + ".jpg")) << jpeg_start;
    const auto began = std::chrono::steady_clock::now();
    EXPECT_EQ(open_image_folder(folder_.path()).photos.size(), std::size_t{count});
    const std::chrono::duration<double> took = std::chrono::steady_clock::now() - began;
    RecordProperty("microseconds_per_file", static_cast<int>(took.count() / count * 1e6));
    EXPECT_LT(took.count(), 4.0); // ten times what is usual: a busy machine must not fail it
}

TEST_F(image_folder_test, tolerates_few_broken_ones_and_names_the_first_of_many) {
    const std::vector<broken_photo> broken{
        {"a", "a: torn"}, {"b", "b: torn"}, {"c", "c: torn"}, {"d", "d: torn"}};
    EXPECT_NO_THROW(require_few_broken("F", broken, 400, 0.01));
    EXPECT_THAT(message_of<input_error>([&] { require_few_broken("F", broken, 399, 0.01); }),
                ::testing::AllOf(HasSubstr("4 of 399 photographs in F are broken"), HasSubstr("0.01"),
                                 HasSubstr("a: torn; b: torn; c: torn; ...")));
    EXPECT_NO_THROW(require_few_broken("F", {}, 0, 0));
}
