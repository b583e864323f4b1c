// SPDX-License-Identifier: Apache-2.0
// Unpacking: what is asked for, and nothing that a hostile archive asks for.
#include "data/archive.hpp"

#include "tests/data/test_folder.hpp"
#include "tests/support/make_archive.hpp"

#include <map>
#include <sys/stat.h>

using namespace petnet;
using namespace petnet::data;
using petnet::testing::archive_member;
using petnet::testing::make_archive;
namespace fs = std::filesystem;

namespace {

class archive_test : public ::testing::Test {
  protected:
    archive_test() { clear(); }

    void clear() const {
        fs::remove_all(target());
        fs::create_directories(target());
    }

    [[nodiscard]] fs::path target() const { return folder_.path() / "work/target"; }
    [[nodiscard]] fs::path file() const { return folder_.path() / "test.tgz"; }
    void make(const std::vector<archive_member>& members, const std::string& filter = "gzip") const {
        make_archive(file(), members, filter);
    }
    void unpack(const std::string& inside = "", const archive_limits& limits = {1'000'000, 100, 50}) const {
        unpack_archive(file(), inside, target(), limits, {});
    }
    std::string refused(const archive_limits& limits = {1'000'000, 100, 50}) const {
        std::string message = test::message_of<input_error>([&] { unpack("", limits); });
        EXPECT_TRUE(message.starts_with("cannot unpack " + file().string() + ": ")) << message;
        expect_nothing_outside();
        return message;
    }
    // Of all that the test has: the archive, and what lies in the folder.
    void expect_nothing_outside() const {
        for (const fs::directory_entry& entry : fs::recursive_directory_iterator(folder_.path())) {
            const std::string place = entry.path().lexically_relative(folder_.path()).string();
            EXPECT_TRUE(place == "test.tgz" || place == "work" || place.starts_with("work/target")) << place;
            EXPECT_FALSE(entry.is_symlink()) << place;
        }
    }
    [[nodiscard]] std::map<std::string, std::string> unpacked() const {
        std::map<std::string, std::string> result;
        for (const fs::directory_entry& entry : fs::recursive_directory_iterator(target())) {
            if (!entry.is_regular_file()) continue;
            const mapped_file content(entry.path());
            result[entry.path().lexically_relative(target()).string()] = {
                reinterpret_cast<const char*>(content.bytes().data()), content.bytes().size()};
        }
        return result;
    }
    [[nodiscard]] std::uint64_t bytes_unpacked() const {
        std::uint64_t sum = 0;
        for (const auto& [name, content] : unpacked()) sum += content.size();
        return sum;
    }

    test::temporary_folder folder_;
};

const std::vector<archive_member> good{{"./", "", archive_member::folder},
                                       {"pet/images/", "", archive_member::folder},
                                       {"pet/images/a.jpg", "a"},
                                       {"./pet//images/sub/b.jpg", std::string(100'000, 'b')},
                                       {"pet/images.txt", "beside"},
                                       {"pet/imagesque/c.jpg", "c"},
                                       {"pet/notes/d.txt", "d"}};

TEST_F(archive_test, packed_in_three_ways) {
    for (const char* filter : {"gzip", "zstd", "none"}) {
        make(good, filter);
        unpack();
        EXPECT_EQ(unpacked().size(), 5U) << filter;
        EXPECT_EQ(unpacked()["pet/images/a.jpg"], "a");
        EXPECT_EQ(unpacked()["pet/images/sub/b.jpg"], good[3].content);
        clear();
    }
}

TEST_F(archive_test, of_which_one_folder_is_wanted) {
    make(good);
    unpack("pet/images");
    EXPECT_EQ(unpacked(),
              (std::map<std::string, std::string>{{"a.jpg", "a"}, {"sub/b.jpg", good[3].content}}));
}

TEST_F(archive_test, with_paths_that_lead_elsewhere) {
    const std::vector<std::string> paths{
        "../evil", "images/../../evil", "images/..",          "/tmp/petnet_evil", "//evil",
        "evil\n",  "\x1b[2J",           std::string(300, 'x')};
    for (const std::string& path : paths) {
        make({{"images/a.jpg", "a"}, {path, "evil"}});
        EXPECT_NE(refused().find("leads elsewhere"), std::string::npos) << path;
        clear();
    }
    EXPECT_FALSE(fs::exists("/tmp/petnet_evil"));
    // Also where the member would not be unpacked.
    make({{"images/a.jpg", "a"}, {"../evil", "evil"}});
    EXPECT_THROW(unpack("images"), input_error);
    expect_nothing_outside();
}

TEST_F(archive_test, with_links) {
    const fs::path outside = folder_.path().parent_path();
    make({{"out", "", archive_member::symbolic_link, outside.string()}, {"out/petnet_evil", "evil"}});
    EXPECT_NE(refused().find("\"out\" is a link"), std::string::npos);
    make({{"up", "", archive_member::symbolic_link, ".."}, {"up/evil", "evil"}});
    EXPECT_NE(refused().find("is a link"), std::string::npos);
    make({{"a", "a"}, {"hard", "", archive_member::hard_link, "a"}});
    EXPECT_NE(refused().find("\"hard\" is a link"), std::string::npos);
    make({{"passwd", "", archive_member::hard_link, "/etc/passwd"}});
    EXPECT_NE(refused().find("is a link"), std::string::npos);
    EXPECT_FALSE(fs::exists(outside / "petnet_evil"));
}

TEST_F(archive_test, with_devices) {
    for (const auto type :
         {archive_member::fifo, archive_member::character_device, archive_member::block_device}) {
        make({{"null", "", type}});
        EXPECT_NE(refused().find("\"null\" is a device"), std::string::npos);
        EXPECT_TRUE(fs::is_empty(target()));
    }
}

TEST_F(archive_test, with_members_that_collide) {
    make({{"a", "1"}, {"a", "2"}});
    EXPECT_NE(refused().find("is there twice"), std::string::npos);
    EXPECT_EQ(unpacked()["a"], "1");
    make({{"b", "1"}, {"b/c", "2"}});
    EXPECT_NE(refused().find("\"b/c\" lies below another member that is a file"), std::string::npos);
    make({{"pet/images", "a file"}});
    EXPECT_NE(test::message_of<input_error>([&] { unpack("pet/images"); }).find("folder is expected"),
              std::string::npos);
}

TEST_F(archive_test, takes_over_no_permissions) {
    make({{"a", "a", archive_member::file, "", 06777}});
    unpack();
    struct stat status {};
    ASSERT_EQ(::stat((target() / "a").c_str(), &status), 0);
    EXPECT_EQ(status.st_mode & 07111U, 0U);
}

TEST_F(archive_test, that_is_larger_than_it_may_be) {
    make({{"a", std::string(600'000, 'a')}, {"b", std::string(600'000, 'b')}});
    EXPECT_NE(refused({1'000'000, 100, 1e9}).find("more than 1000000 bytes"), std::string::npos);
    EXPECT_LE(bytes_unpacked(), 1'000'000U);
    clear();
    make({{"huge", std::string(1'100'000, 'a')}});
    EXPECT_NE(refused({1'000'000, 100, 1e9}).find("more than 1000000 bytes"), std::string::npos);
    EXPECT_EQ(bytes_unpacked(), 0U) << "the size that a member states is enough to refuse it";
    make({{"a", ""}, {"b", ""}, {"c", ""}});
    EXPECT_NE(refused({1'000'000, 2, 50}).find("more than 2 files"), std::string::npos);
}

// 100 MB of one letter in 100 kB: refused by the ratio after 16 MB, whether it is to be written or passed
// over.
TEST_F(archive_test, that_is_a_bomb) {
    std::string letters;
    letters.resize(100'000'000, 'a');
    for (const char* filter : {"gzip", "zstd"}) {
        make({{"bomb", letters}, {"after", "b"}}, filter);
        ASSERT_LT(fs::file_size(file()), 200'000U);
        EXPECT_NE(refused({2'000'000'000, 100, 20}).find("more than 20 times its size"), std::string::npos);
        EXPECT_LT(bytes_unpacked(), 20'000'000U);
        EXPECT_THROW(unpack("elsewhere", {2'000'000'000, 100, 20}), input_error);
        clear();
    }
}

// The frame's header asks for a window of 2 GiB.
TEST_F(archive_test, that_wants_too_much_memory) {
    const std::string frame{'\x28', '\xb5', '\x2f', '\xfd', '\x00', '\xa8'}, block(1024, '\0');
    const unsigned header = 1U | static_cast<unsigned>(block.size()) << 3;
    std::string bytes = frame;
    for (const unsigned shift : {0U, 8U, 16U}) bytes += static_cast<char>(header >> shift & 0xff);
    folder_.write("test.tgz", bytes + block);
    EXPECT_NE(refused().find("memory"), std::string::npos);
}

TEST_F(archive_test, that_is_cut_or_none) {
    make(good, "none");
    const std::vector<std::byte> whole = read_file(file(), 1'000'000);
    make(good);
    const std::vector<std::byte> packed = read_file(file(), 1'000'000);
    const auto text = [](const std::vector<std::byte>& bytes, std::size_t size) {
        return std::string(reinterpret_cast<const char*>(bytes.data()), size);
    };
    const std::vector<std::string> bad{"",
                                       "no archive",
                                       std::string(2000, 'x'),
                                       std::string("PK\x03\x04") + std::string(2000, '\0'),
                                       text(packed, packed.size() / 2),
                                       text(packed, 5),
                                       text(whole, whole.size() / 2),
                                       text(whole, 700)};
    for (const std::string& bytes : bad) {
        folder_.write("test.tgz", bytes);
        EXPECT_NE(refused(), "") << bytes.size();
        clear();
    }
    fs::remove(file());
    fs::create_directories(file());
    EXPECT_THROW(unpack(), input_error);
}

TEST_F(archive_test, is_left_when_asked_to_stop) {
    make(good);
    int asked = 0;
    EXPECT_THROW(unpack_archive(file(), "", target(), {1'000'000, 100, 50},
                                {.stop_requested = [&] { return ++asked > 3; }}),
                 work_stopped);
    EXPECT_LT(unpacked().size(), 5U);
}

} // namespace
