// SPDX-License-Identifier: Apache-2.0
#include "data/photo_store.hpp"

#include "tests/data/test_folder.hpp"

#include <algorithm>
#include <fstream>

using namespace petnet;
using namespace petnet::data;
using ::testing::HasSubstr;
namespace fs = std::filesystem;

namespace {

// A folder of real photographs, and one for the cache.
class photo_stores : public ::testing::Test {
  protected:
    static constexpr std::size_t count = 12;
    photo_stores() {
        std::vector<fs::path> all;
        for (const auto& entry : fs::directory_iterator(fs::path(PETNET_SAMPLE_DIR) / "images"))
            all.push_back(entry.path());
        std::sort(all.begin(), all.end());
        fs::create_directories(photographs());
        for (std::size_t i = 0; i < count; ++i) fs::copy(all[i * 20], photographs() / name(i));
    }
    static std::string name(std::size_t i) { return std::string(1, static_cast<char>('a' + i)) + ".jpg"; }
    [[nodiscard]] fs::path photographs() const { return folder_.path() / "photographs"; }
    [[nodiscard]] fs::path cache() const { return folder_.path() / "cache"; }
    [[nodiscard]] photo_store store(std::size_t memory, bool with_cache = true, std::size_t size = 24) const {
        store_options options{.image_size = size, .max_broken = 1, .memory_limit = memory};
        if (with_cache) options.cache_folder = cache();
        return {open_image_folder(photographs()), options};
    }
    // The pixels of all photographs; empty: broken.
    static std::vector<std::vector<std::uint8_t>> all_of(photo_store& store) {
        std::vector<std::vector<std::uint8_t>> pixels;
        for (std::size_t i = 0; i < store.folder().photos.size(); ++i) {
            const auto photo = store.photo(i);
            pixels.push_back(photo ? photo->pixels : std::vector<std::uint8_t>());
        }
        return pixels;
    }
    [[nodiscard]] std::uintmax_t bytes_of(const char* extension) const {
        std::uintmax_t bytes = 0;
        if (fs::exists(cache() / "pixels"))
            for (const auto& file : fs::directory_iterator(cache() / "pixels"))
                if (file.path().extension() == extension) bytes += file.file_size();
        return bytes;
    }
    test::temporary_folder folder_;
};

constexpr std::size_t plenty = 1 << 30;

} // namespace

TEST_F(photo_stores, give_the_same_pixels_from_memory_from_the_file_and_in_a_later_run) {
    photo_store plain = store(plenty, false);
    const auto expected = all_of(plain);
    EXPECT_EQ(all_of(plain), expected);
    for (const std::size_t memory : {0UL, 20'000UL, plenty}) {
        for (int run = 0; run < 3; ++run) {
            photo_store again = store(memory);
            EXPECT_EQ(all_of(again), expected);
            EXPECT_EQ(all_of(again), expected);
            EXPECT_LE(again.bytes_kept(), memory);
            EXPECT_EQ(again.data_hash(), plain.data_hash());
            EXPECT_FALSE(again.cache_failure());
        }
        EXPECT_EQ(bytes_of(".pixels") == 0, memory == plenty) << "a file where memory suffices";
        fs::remove_all(cache());
    }
}

TEST_F(photo_stores, write_every_photograph_once) {
    (void)[&] {
        auto first = store(0);
        return all_of(first);
    }
    ();
    const auto bytes = bytes_of(".pixels");
    EXPECT_GT(bytes, 0U);
    for (const std::size_t memory : {0UL, plenty}) {
        photo_store later = store(memory);
        (void)all_of(later);
        EXPECT_EQ(bytes_of(".pixels"), bytes);
    }
}

// The change keeps name, size and time.
TEST_F(photo_stores, never_serve_a_photograph_that_changed) {
    {
        photo_store first = store(0);
        (void)all_of(first);
    }
    const fs::path changed = photographs() / name(4);
    const auto time = fs::last_write_time(changed);
    std::string bytes;
    {
        std::ifstream in(changed, std::ios::binary);
        bytes.assign(std::istreambuf_iterator<char>(in), {});
    }
    bytes[bytes.size() - 200] = static_cast<char>(bytes[bytes.size() - 200] ^ 0x04);
    std::ofstream(changed, std::ios::binary) << bytes;
    fs::last_write_time(changed, time);
    photo_store fresh = store(plenty, false), cached = store(0);
    const auto expected = all_of(fresh);
    EXPECT_EQ(all_of(cached), expected);
    EXPECT_EQ(all_of(cached), expected);
    EXPECT_EQ(cached.data_hash(), fresh.data_hash());
}

TEST_F(photo_stores, find_photographs_that_were_renamed) {
    {
        photo_store first = store(0);
        (void)all_of(first);
    }
    const auto bytes = bytes_of(".pixels");
    fs::rename(photographs() / name(3), photographs() / "z.jpg");
    photo_store later = store(0);
    (void)all_of(later);
    EXPECT_EQ(bytes_of(".pixels"), bytes);
}

TEST_F(photo_stores, of_two_sizes_and_turned_or_not_do_not_meet) {
    fs::copy(fs::path(PETNET_ODD_PHOTOGRAPHS) / "exif_turned.jpg", photographs() / "turned.jpg");
    const auto index = [](const photo_store& photos) { return photos.folder().photos.size() - 1; };
    for (int run = 0; run < 2; ++run) {
        photo_store stored = store(0), larger = store(0, true, 32);
        store_options options{.image_size = 24, .memory_limit = 0, .cache_folder = cache()};
        options.turned = orientation::by_exif;
        photo_store turned(open_image_folder(photographs()), options);
        for (int pass = 0; pass < 2; ++pass) {
            EXPECT_EQ(larger.photo(0)->size, 32U);
            EXPECT_EQ(stored.photo(0)->size, 24U);
            EXPECT_EQ(turned.photo(index(turned))->width, stored.photo(index(stored))->height);
        }
    }
}

TEST_F(photo_stores, go_on_where_the_cache_cannot_be_written) {
    folder_.write("cache", "a file in the folder's place");
    photo_store plain = store(plenty, false), photos = store(0);
    EXPECT_EQ(all_of(photos), all_of(plain));
    EXPECT_EQ(all_of(photos), all_of(plain));
    EXPECT_THAT(photos.cache_failure().value(), HasSubstr("cannot write to"));
}

TEST_F(photo_stores, decode_again_what_the_file_lost) {
    photo_store plain = store(plenty, false), photos = store(0);
    const auto expected = all_of(plain);
    EXPECT_EQ(all_of(photos), expected);
    for (const auto& file : fs::directory_iterator(cache() / "pixels")) fs::resize_file(file.path(), 0);
    EXPECT_EQ(all_of(photos), expected);
    photo_store later = store(0);
    EXPECT_EQ(all_of(later), expected);
}

TEST_F(photo_stores, forget_photographs_that_are_gone) {
    {
        photo_store first = store(0);
        (void)all_of(first);
    }
    for (std::size_t i = 3; i < count; ++i) fs::remove(photographs() / name(i));
    photo_store fewer = store(0);
    (void)all_of(fewer);
    EXPECT_EQ(bytes_of(".pixels"), 0U);
}
