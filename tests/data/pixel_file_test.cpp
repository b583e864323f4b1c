// SPDX-License-Identifier: Apache-2.0
#include "data/pixel_file.hpp"

#include "base/random.hpp"
#include "tests/data/test_folder.hpp"

#include <algorithm>
#include <csignal>
#include <fstream>
#include <sys/resource.h>
#include <thread>

using namespace petnet;
using namespace petnet::data;
using ::testing::HasSubstr;
namespace fs = std::filesystem;

namespace {

constexpr std::size_t size = 8;

half_resized photograph(std::size_t number, std::size_t width = 20, std::size_t height = 11) {
    half_resized photo = half_resized_frame(width, height, size);
    const random_key key = random_key(number);
    for (std::size_t i = 0; i < photo.pixels.size() - resize_slack; ++i)
        photo.pixels[i] = static_cast<std::uint8_t>(key.bits(i));
    return photo;
}

// What the SHA-256 of its file might be.
std::string content(std::size_t number) {
    const std::string text = std::to_string(number);
    return sha256(std::as_bytes(std::span(text)));
}

class pixel_files : public ::testing::Test {
  protected:
    pixel_file open(std::uint64_t left_free = 0) const {
        return pixel_file({folder_.path() / "pixels", "x", size, left_free});
    }
    fs::path index() const { return folder_.path() / "pixels/x.index"; }
    fs::path pixels() const { return folder_.path() / "pixels/x.pixels"; }

    void fill(std::size_t count) const {
        pixel_file file = open();
        for (std::size_t i = 0; i < count; ++i) ASSERT_TRUE(file.add(content(i), photograph(i)));
    }
    // How many of the first `count` are found; what is found is right.
    static std::size_t found(pixel_file& file, std::size_t count) {
        std::size_t right = 0;
        for (std::size_t i = 0; i < count; ++i) {
            const auto photo = file.find(content(i));
            if (!photo) continue;
            ++right;
            const half_resized expected = photograph(i);
            EXPECT_EQ(photo->pixels, expected.pixels) << i;
            EXPECT_EQ(photo->width, expected.width);
            EXPECT_EQ(photo->side, expected.side);
            EXPECT_EQ(photo->free_is_vertical, expected.free_is_vertical);
        }
        return right;
    }
    std::size_t found_later(std::size_t count) const {
        pixel_file file = open();
        return found(file, count);
    }
    static void change(const fs::path& file, std::streamoff at) {
        std::fstream stream(file, std::ios::in | std::ios::out | std::ios::binary);
        stream.seekg(at);
        const int old = stream.get();
        stream.seekp(at);
        stream.put(static_cast<char>(old ^ 0x10));
        ASSERT_TRUE(stream);
    }
    test::temporary_folder folder_;
};

} // namespace

TEST_F(pixel_files, give_back_what_was_added_now_and_in_a_later_run) {
    {
        pixel_file file = open();
        EXPECT_FALSE(file.find(content(1)));
        EXPECT_TRUE(file.empty());
        EXPECT_FALSE(fs::exists(index())) << "created with nothing to write";
        EXPECT_TRUE(file.add(content(1), photograph(1)));
        EXPECT_TRUE(file.add(content(2), photograph(2, 7, 30)));
        const auto upright = file.find(content(2));
        ASSERT_TRUE(upright);
        EXPECT_EQ(upright->pixels, photograph(2, 7, 30).pixels);
        EXPECT_TRUE(upright->free_is_vertical);
    }
    pixel_file later = open();
    EXPECT_FALSE(later.empty());
    EXPECT_EQ(later.find(content(1)).value().pixels, photograph(1).pixels);
    EXPECT_EQ(later.find(content(2)).value().pixels, photograph(2, 7, 30).pixels);
    EXPECT_FALSE(later.find(content(3)));
    EXPECT_TRUE(later.add(content(3), photograph(3)));
    EXPECT_EQ(later.find(content(1)).value().pixels, photograph(1).pixels);
    EXPECT_EQ(open().find(content(3)).value().pixels, photograph(3).pixels);
}

TEST_F(pixel_files, of_another_size_are_not_taken) {
    fill(3);
    pixel_file other({folder_.path() / "pixels", "x", size + 1, 0});
    EXPECT_TRUE(other.empty());
}

// Every byte of the index and of the pixels, one after the other.
TEST_F(pixel_files, one_changed_byte_is_noticed_and_the_photograph_written_anew) {
    fill(3);
    const auto check = [&](const fs::path& file, std::streamoff at) {
        change(file, at);
        pixel_file damaged = open();
        const std::size_t sound = found(damaged, 3);
        if (sound == 3) return false;
        EXPECT_EQ(sound, 2U) << file << " at " << at;
        for (std::size_t i = 0; i < 3; ++i) EXPECT_TRUE(damaged.add(content(i), photograph(i)));
        EXPECT_EQ(found(damaged, 3), 3U);
        EXPECT_EQ(found_later(3), 3U);
        fs::remove_all(folder_.path() / "pixels");
        fill(3);
        return true;
    };
    for (std::uintmax_t at = 0; at < fs::file_size(index()); ++at)
        EXPECT_TRUE(check(index(), static_cast<std::streamoff>(at))) << at;
    for (std::uintmax_t at = 0; at < fs::file_size(pixels()); at += 7)
        EXPECT_TRUE(check(pixels(), static_cast<std::streamoff>(at))) << at;
}

TEST_F(pixel_files, cut_short_anywhere_lose_only_what_is_cut_off) {
    for (const bool of_index : {true, false}) {
        fill(4);
        const fs::path file = of_index ? index() : pixels();
        const std::uintmax_t whole = fs::file_size(file), each = whole / 4;
        for (std::uintmax_t length = whole; length-- > 0;) {
            fs::resize_file(file, length);
            if (length % 13 != 0) continue;
            pixel_file cut = open();
            EXPECT_EQ(found(cut, 4), length / each) << file << " cut to " << length;
        }
        fill(4); // over the ruins
        EXPECT_EQ(found_later(4), 4U);
        fs::remove_all(folder_.path() / "pixels");
    }
}

// What a map of the file would answer with SIGBUS.
TEST_F(pixel_files, cut_short_while_it_is_open_only_loses_photographs) {
    fill(4);
    pixel_file file = open();
    fs::resize_file(pixels(), fs::file_size(pixels()) / 2);
    EXPECT_EQ(found(file, 4), 2U);
    fs::resize_file(pixels(), 0);
    EXPECT_EQ(found(file, 4), 0U);
    EXPECT_TRUE(file.add(content(1), photograph(1)));
    EXPECT_EQ(found(file, 4), 1U);
}

TEST_F(pixel_files, that_are_something_else_count_as_empty) {
    folder_.write("pixels/x.index", std::string(5000, 'x'));
    folder_.write("pixels/x.pixels", "no pixels");
    EXPECT_TRUE(open().empty());
    fill(2);
    EXPECT_EQ(found_later(2), 2U);
    fs::remove_all(folder_.path() / "pixels");
    fs::create_directories(index()); // a folder in its place
    pixel_file blocked = open();
    EXPECT_TRUE(blocked.add(content(1), photograph(1))); // goes to a file without a name
    EXPECT_EQ(found(blocked, 2), 1U);
}

TEST_F(pixel_files, of_two_runs_one_appends_and_the_other_keeps_its_own) {
    fill(2);
    pixel_file first = open(), second = open();
    EXPECT_TRUE(first.add(content(2), photograph(2)));
    EXPECT_TRUE(second.add(content(3), photograph(3)));
    EXPECT_TRUE(second.add(content(2), photograph(2)));
    EXPECT_TRUE(first.add(content(4), photograph(4)));
    EXPECT_EQ(found(first, 5), 4U);
    EXPECT_EQ(found(second, 5), 4U);
    EXPECT_EQ(found_later(5), 4U); // 0, 1, 2 and 4
    EXPECT_EQ(std::distance(fs::directory_iterator(folder_.path() / "pixels"), fs::directory_iterator()), 2)
        << "the other's file has no name";
}

TEST_F(pixel_files, many_threads_add_and_find_at_once) {
    constexpr std::size_t photographs = 200;
    pixel_file file = open();
    {
        std::vector<std::jthread> threads;
        for (std::size_t t = 0; t < 4; ++t)
            threads.emplace_back([&file, t] {
                for (std::size_t i = 0; i < photographs; ++i) {
                    const std::size_t number = (i + t * 50) % photographs;
                    EXPECT_TRUE(file.add(content(number), photograph(number)));
                    const auto photo = file.find(content(number));
                    ASSERT_TRUE(photo);
                    EXPECT_EQ(photo->pixels, photograph(number).pixels);
                }
            });
    }
    EXPECT_EQ(found(file, photographs), photographs);
    EXPECT_EQ(found_later(photographs), photographs);
}

TEST_F(pixel_files, leave_space_on_the_disk) {
    pixel_file file = open(std::uint64_t{1} << 60);
    EXPECT_FALSE(file.add(content(1), photograph(1)));
    EXPECT_THAT(file.failure().value(), HasSubstr("No space left"));
    EXPECT_FALSE(file.find(content(1)));
}

// Files that may not grow further stand for a disk that is full.
TEST_F(pixel_files, on_a_full_disk_keep_what_they_have) {
    struct rlimit before {};
    ASSERT_EQ(::getrlimit(RLIMIT_FSIZE, &before), 0);
    auto* const handler = std::signal(SIGXFSZ, SIG_IGN);
    struct rlimit small = before;
    small.rlim_cur = 3 * (half_resized_bytes(20, 11, size) - resize_slack) + 100;
    ASSERT_EQ(::setrlimit(RLIMIT_FSIZE, &small), 0);
    {
        pixel_file file = open();
        for (std::size_t i = 0; i < 6; ++i) EXPECT_EQ(file.add(content(i), photograph(i)), i < 3) << i;
        EXPECT_THAT(file.failure().value(), HasSubstr("cannot write to"));
        EXPECT_EQ(found(file, 6), 3U);
    }
    ::setrlimit(RLIMIT_FSIZE, &before);
    std::signal(SIGXFSZ, handler);
    EXPECT_EQ(found_later(6), 3U);
    fill(6);
    EXPECT_EQ(found_later(6), 6U);
}

TEST_F(pixel_files, in_a_folder_that_cannot_be_made_say_so) {
    folder_.write("pixels", "a file in the folder's place");
    pixel_file file = open();
    EXPECT_FALSE(file.add(content(1), photograph(1)));
    EXPECT_THAT(file.failure().value(), HasSubstr("pixels"));
}

TEST_F(pixel_files, are_removed_where_most_of_their_photographs_are_gone) {
    fill(10);
    {
        pixel_file file = open();
        EXPECT_EQ(found(file, 6), 6U);
        file.remove_where_mostly_unused();
    }
    EXPECT_EQ(found_later(10), 10U);
    pixel_file file = open();
    EXPECT_EQ(found(file, 3), 3U);
    file.remove_where_mostly_unused();
    EXPECT_FALSE(fs::exists(index()));
    EXPECT_FALSE(fs::exists(pixels()));
    EXPECT_EQ(found(file, 3), 3U) << "what is open stays readable";
}
