// SPDX-License-Identifier: Apache-2.0
#include "base/files.hpp"

#include "base/errors.hpp"
#include "tests/support/disk_calls.hpp"

#include <fcntl.h>
#include <fstream>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

using namespace petnet;
namespace fs = std::filesystem;

namespace {

class files : public ::testing::Test {
  protected:
    void SetUp() override {
        folder_ = fs::temp_directory_path() / ("petnet_files_" + std::to_string(::getpid()));
        fs::create_directories(folder_);
    }
    void TearDown() override { fs::remove_all(folder_); }
    fs::path folder_;
};

std::string text_of(const fs::path& path) {
    const auto bytes = read_file(path, 1000);
    return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

TEST_F(files, written_whole_and_read_back) {
    write_file_atomically(folder_ / "a.txt", "one");
    write_file_atomically(folder_ / "a.txt", "two");
    EXPECT_EQ(text_of(folder_ / "a.txt"), "two");
    EXPECT_EQ(mapped_file(folder_ / "a.txt").bytes().size(), 3u);
    EXPECT_EQ(std::distance(fs::directory_iterator(folder_), {}), 1) << "no temporary file stays";
}

// Else a power cut could leave an empty file in the place of the old one.
TEST_F(files, are_on_the_disk_before_they_replace_others) {
    (void)test::disk_calls();
    write_file_atomically(folder_ / "a.txt", "one");
    EXPECT_THAT(test::disk_calls(),
                ::testing::ElementsAre("fsync a.txt", "rename to a.txt", "fsync a folder"));
}

TEST_F(files, a_failing_producer_leaves_the_old_file) {
    write_file_atomically(folder_ / "a.txt", "old");
    EXPECT_THROW(write_file_atomically(folder_ / "a.txt",
                                       [](const byte_sink& sink) {
                                           sink(std::as_bytes(std::span("new")));
                                           throw std::runtime_error("stop");
                                       }),
                 std::runtime_error);
    EXPECT_EQ(text_of(folder_ / "a.txt"), "old");
    EXPECT_EQ(std::distance(fs::directory_iterator(folder_), {}), 1);
}

TEST_F(files, reading_refuses_what_is_no_file_or_too_large) {
    EXPECT_THROW(mapped_file(folder_ / "absent"), input_error);
    EXPECT_THROW(mapped_file{folder_}, input_error);
    ASSERT_EQ(::mkfifo((folder_ / "pipe").c_str(), 0600), 0);
    EXPECT_THROW(mapped_file(folder_ / "pipe"), input_error) << "and does not wait for a writer";
    write_file_atomically(folder_ / "a.txt", "four");
    EXPECT_THROW((void)read_file(folder_ / "a.txt", 3), input_error);
    std::ofstream(folder_ / "empty").flush();
    EXPECT_TRUE(mapped_file(folder_ / "empty").bytes().empty());
}

TEST_F(files, links_and_devices_stay_what_they_are) {
    write_file_atomically(folder_ / "a.txt", "old");
    fs::create_symlink("a.txt", folder_ / "link");
    write_file_atomically(folder_ / "link", "new");
    EXPECT_TRUE(fs::is_symlink(folder_ / "link"));
    EXPECT_EQ(text_of(folder_ / "a.txt"), "new");
    fs::create_symlink("b.txt", folder_ / "dangling");
    write_file_atomically(folder_ / "dangling", "first");
    EXPECT_EQ(text_of(folder_ / "b.txt"), "first");

    ASSERT_EQ(::mkfifo((folder_ / "pipe").c_str(), 0600), 0);
    const int reader = ::open((folder_ / "pipe").c_str(), O_RDONLY | O_NONBLOCK);
    write_file_atomically(folder_ / "pipe", "through");
    char text[8] = {};
    EXPECT_EQ(::read(reader, text, sizeof text), 7);
    ::close(reader);
    EXPECT_STREQ(text, "through");
    EXPECT_TRUE(fs::is_fifo(folder_ / "pipe"));

    fs::create_directory(folder_ / "sub");
    EXPECT_THROW(write_file_atomically(folder_ / "sub", "x"), environment_error);
}

TEST_F(files, writing_into_a_missing_folder_is_an_environment_error) {
    EXPECT_THROW(write_file_atomically(folder_ / "no" / "a.txt", "x"), environment_error);
}

TEST(sha256, known_answer) { // FIPS 180-2, appendix B.1
    const std::string_view text = "abc";
    EXPECT_EQ(sha256(std::as_bytes(std::span(text))),
              "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
}

} // namespace
