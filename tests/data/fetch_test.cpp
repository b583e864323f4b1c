// SPDX-License-Identifier: Apache-2.0
// Fetching as a whole: from a server, from a file put there by hand, by two at once; verified before it is
// used.
#include "data/fetch.hpp"

#include "net/url.hpp"
#include "tests/data/test_folder.hpp"
#include "tests/support/http_server.hpp"
#include "tests/support/make_archive.hpp"

#include <atomic>
#include <cstdlib>
#include <nlohmann/json.hpp>
#include <thread>

using namespace petnet;
using namespace petnet::data;
using namespace petnet::testing;
using namespace std::chrono_literals;
namespace fs = std::filesystem;

namespace {

std::string content_of(const fs::path& path) {
    const mapped_file file(path);
    return {reinterpret_cast<const char*>(file.bytes().data()), file.bytes().size()};
}
std::span<const std::byte> span_of(const std::string& text) { return std::as_bytes(std::span(text)); }

class fetching : public ::testing::Test {
  protected:
    [[nodiscard]] fs::path cache() const { return folder_.path() / "cache"; }
    // An archive's bytes.
    [[nodiscard]] std::string packed(const std::vector<archive_member>& members) const {
        make_archive(folder_.path() / "made.tgz", members);
        return content_of(folder_.path() / "made.tgz");
    }
    [[nodiscard]] static std::vector<archive_member> photographs(const std::string& in = "images/") {
        std::vector<archive_member> members;
        for (unsigned char i = 0; i < 3; ++i)
            members.push_back({in + "Cat_" + std::to_string(i) + ".jpg", test::one_pixel_bmp(i)});
        members.push_back({in + "list.mat", "no photograph"});
        return members;
    }
    // The data set of this test, of which the server has `archive` under both addresses; the second has no
    // hash.
    [[nodiscard]] fetch_item item(const http_server& server, const std::string& archive) const {
        return {.name = "pets",
                .title = "The photographs",
                .variable = "PETNET_TEST_URL",
                .place = "pets",
                .most_bytes = 1'000'000,
                .unpacked = archive_limits{.bytes = 1'000'000, .members = 100, .ratio = 20},
                .photographs = 3,
                .sources = {{.url = server.url("/images.tar.gz"),
                             .file = "images.tar.gz",
                             .md5 = md5(span_of(archive)),
                             .inside = "images"},
                            {.url = server.url("/pets.tgz"), .file = "pets.tgz", .inside = "images"}}};
    }
    fs::path fetch(const fetch_item& what, const std::string& mirror = "") {
        return data::fetch(what, options(mirror), listener_);
    }
    [[nodiscard]] fetch_options options(const std::string& mirror = "") const {
        return {
            .cache = cache(),
            .mirror = mirror,
            .patience = {.attempts = 2, .first_wait = 1ms, .longest_wait = 1ms, .connect = 5s, .stall = 1s}};
    }
    // What the cache holds beside locks.
    [[nodiscard]] std::vector<std::string> left() const {
        std::vector<std::string> names;
        for (const fs::directory_entry& entry : fs::directory_iterator(cache()))
            if (entry.path().extension() != ".lock") names.push_back(entry.path().filename().string());
        std::ranges::sort(names);
        return names;
    }

    test::temporary_folder folder_;
    std::vector<std::string> notes_;
    work_listener listener_{.on_note = [this](const std::string& line) { notes_.push_back(line); }};
};

TEST_F(fetching, a_data_set) {
    const std::string archive = packed(photographs());
    http_server server([&](const auto& request, auto& connection) {
        served_file{.content = archive}.send(request, connection);
    });
    const fetch_item pets = item(server, archive);
    EXPECT_FALSE(fetched(pets, cache()));
    const fs::path place = fetch(pets);
    EXPECT_EQ(place, cache() / "pets");
    EXPECT_EQ(content_of(place / "images/Cat_1.jpg"), test::one_pixel_bmp(1));
    EXPECT_EQ(content_of(place / "images/list.mat"), "no photograph");
    const auto record = nlohmann::json::parse(content_of(place / "source.json"));
    EXPECT_EQ(record.at("source"), server.url("/images.tar.gz"));
    EXPECT_EQ(record.at("sha256"), sha256(span_of(archive)));
    EXPECT_EQ(record.at("bytes"), archive.size());
    EXPECT_EQ(left(), std::vector<std::string>{"pets"}) << "the archive is not kept";
    EXPECT_EQ(fetch(pets), place);
    EXPECT_EQ(server.requests().size(), 1U) << "what is there is used";
}

TEST_F(fetching, weights) {
    http_server server([&](const auto& request, auto& connection) {
        served_file{.content = "weights"}.send(request, connection);
    });
    fetch_item weights{.name = "w",
                       .title = "Weights",
                       .variable = "PETNET_TEST_URL",
                       .place = "w.pth",
                       .most_bytes = 100,
                       .sources = {{.url = server.url("/w.pth"),
                                    .file = "w.pth",
                                    .sha256 = sha256(span_of("weights")).substr(0, 8)}}};
    EXPECT_EQ(content_of(fetch(weights)), "weights");
    EXPECT_EQ(left(), std::vector<std::string>{"w.pth"});
    static_cast<void>(fetch(weights));
    EXPECT_EQ(server.requests().size(), 1U);
    // Damaged since, or put there by hand.
    folder_.write("cache/w.pth", "wreck");
    EXPECT_NE(test::message_of<input_error>([&] {
                  static_cast<void>(fetch(weights));
              }).find("w.pth is damaged or another file"),
              std::string::npos);
    fs::remove(cache() / "w.pth");
    weights.sources[0].sha256[0] ^= 1;
    const std::string message =
        test::message_of<environment_error>([&] { static_cast<void>(fetch(weights)); });
    EXPECT_NE(message.find("a SHA-256 that begins with"), std::string::npos) << message;
    EXPECT_TRUE(left().empty()) << "what is known to be wrong is not kept";
}

TEST_F(fetching, nothing_is_unpacked_before_it_is_verified) {
    const std::string archive = packed(photographs());
    http_server server([&](const auto& request, auto& connection) {
        served_file{.content = archive}.send(request, connection);
    });
    fetch_item pets = item(server, "another archive");
    pets.sources.pop_back();
    std::vector<std::string> work;
    listener_.on_progress = [&](const work_progress& now) { work.push_back(now.what.substr(0, 9)); };
    const std::string message = test::message_of<environment_error>([&] { static_cast<void>(fetch(pets)); });
    for (const std::string& part :
         {pets.sources[0].url, md5(span_of(archive)), (cache() / "images.tar.gz").string()})
        EXPECT_NE(message.find(part), std::string::npos) << message;
    EXPECT_EQ(std::ranges::count(work, "unpacking"), 0);
    EXPECT_TRUE(left().empty());
    pets.sources[0].bytes = archive.size() + 1;
    EXPECT_NE(test::message_of<environment_error>([&] {
                  static_cast<void>(fetch(pets));
              }).find("bytes was expected"),
              std::string::npos);
}

TEST_F(fetching, from_the_second_source_photograph_by_photograph) {
    std::string archive = packed(photographs());
    http_server server([&](const auto& request, auto& connection) {
        if (request.target == "/images.tar.gz") return send_answer(connection, "404 Not Found");
        served_file{.content = archive}.send(request, connection);
    });
    const fetch_item pets = item(server, archive);
    const auto record = nlohmann::json::parse(content_of(fetch(pets) / "source.json"));
    EXPECT_EQ(record.at("sha256"), sha256(span_of(archive)));
    EXPECT_EQ(record.at("photographs").at("good"), 3);
    EXPECT_TRUE(std::ranges::any_of(notes_, [](const auto& line) { return line.find("404") != line.npos; }))
        << "why the first was not used";
    fs::remove_all(cache());

    const auto refused = [&](const std::vector<archive_member>& members, const std::string& why) {
        archive = packed(members);
        const std::string message =
            test::message_of<environment_error>([&] { static_cast<void>(fetch(pets)); });
        EXPECT_NE(message.find(why), std::string::npos) << message;
        EXPECT_TRUE(left().empty()) << why;
    };
    std::vector<archive_member> members = photographs();
    members[1].content = test::jpeg_start;
    refused(members, "Cat_1.jpg");
    members[1].content = "nothing";
    refused(members, "Cat_1.jpg");
    members = photographs();
    members.erase(members.begin());
    refused(members, "3 photographs were expected, it holds 2");
    refused(photographs("elsewhere/"), "no photograph");
    members = photographs();
    members.push_back({"../../evil", "evil"});
    refused(members, "leads elsewhere");
    members.back() = {"images/bomb", std::string(2'000'000, 'x')};
    refused(members, "more than 1000000 bytes");
    members.back() = {"images/link", "", archive_member::symbolic_link, "/etc"};
    refused(members, "is a link");
    EXPECT_FALSE(fs::exists(folder_.path() / "evil"));
}

TEST_F(fetching, without_a_network_says_what_to_do_and_uses_what_is_put_there) {
    const std::string archive = packed(photographs());
    fetch_item pets;
    {
        const http_server gone([](const auto&, auto&) {});
        pets = item(gone, archive);
    }
    const std::string message = test::message_of<environment_error>([&] { static_cast<void>(fetch(pets)); });
    for (const std::string& part :
         {std::string("Failed to connect"), "download " + pets.sources[0].url + " yourself",
          "put it at " + (cache() / "images.tar.gz").string()})
        EXPECT_NE(message.find(part), std::string::npos) << message;
    EXPECT_TRUE(notes_.empty()) << "one line was wanted: " << notes_.front();

    folder_.write("cache/images.tar.gz", archive.substr(0, 100));
    EXPECT_NE(test::message_of<input_error>([&] {
                  static_cast<void>(fetch(pets));
              }).find("images.tar.gz is damaged"),
              std::string::npos);
    folder_.write("cache/images.tar.gz", archive);
    EXPECT_EQ(content_of(fetch(pets) / "images/Cat_2.jpg"), test::one_pixel_bmp(2));
    EXPECT_EQ(left(), (std::vector<std::string>{"images.tar.gz", "pets"})) << "a user's file is the user's";
    fs::remove_all(cache());
    folder_.write("cache/pets.tgz", archive);
    EXPECT_TRUE(fs::exists(fetch(pets) / "images/Cat_2.jpg"));
}

TEST_F(fetching, from_a_mirror_by_the_same_rules) {
    const std::string archive = packed(photographs());
    http_server server([&](const auto& request, auto& connection) {
        served_file{.content = archive}.send(request, connection);
    });
    const fetch_item pets = item(server, archive), other = item(server, "another archive");
    // By the name of its file, the second source's: without a hash, photograph by photograph.
    EXPECT_TRUE(fs::exists(fetch(other, server.url("/copy/pets.tgz")) / "source.json"));
    fs::remove_all(cache());
    // By any other, the first's.
    EXPECT_TRUE(fs::exists(fetch(pets, server.url("/copy?token=hush"))));
    const std::string record = content_of(cache() / "pets/source.json");
    EXPECT_EQ(record.find("hush"), std::string::npos) << record;
    fs::remove_all(cache());
    ::setenv("PETNET_TEST_URL", server.url("/variable").c_str(), 1);
    EXPECT_THROW(static_cast<void>(fetch(other)), environment_error);
    ::unsetenv("PETNET_TEST_URL");
    EXPECT_EQ(server.requests().back().target, "/variable");
}

TEST_F(fetching, by_two_at_once) {
    const std::string archive = packed(photographs());
    std::atomic<bool> second_waits = false;
    http_server server([&](const auto& request, auto& connection) {
        for (int i = 0; i < 500 && !second_waits; ++i) std::this_thread::sleep_for(10ms);
        served_file{.content = archive}.send(request, connection);
    });
    const fetch_item pets = item(server, archive);
    const work_listener waiting{.on_note = [&](const std::string& line) {
        if (line.find("waiting") != std::string::npos) second_waits = true;
    }};
    fs::path first, second;
    {
        std::jthread one([&] { first = data::fetch(pets, options(), waiting); });
        std::jthread two([&] { second = data::fetch(pets, options(), waiting); });
    }
    EXPECT_TRUE(second_waits);
    EXPECT_EQ(first, cache() / "pets");
    EXPECT_EQ(second, first);
    EXPECT_EQ(server.requests().size(), 1U);
    EXPECT_EQ(left(), std::vector<std::string>{"pets"});
}

TEST_F(fetching, goes_on_where_it_was_stopped) {
    const std::string archive = packed(photographs());
    http_server server([&](const auto& request, auto& connection) {
        served_file{.content = archive}.send(request, connection, request.number == 0 ? 100 : archive.size());
        if (request.number == 0) connection.stall(30s);
    });
    const fetch_item pets = item(server, archive);
    const fs::path part = cache() / "images.tar.gz.part";
    std::string stop_at = "downloading";
    listener_.stop_requested = [&] {
        std::error_code none;
        return stop_at == "downloading" && fs::exists(part, none) && fs::file_size(part, none) == 100;
    };
    EXPECT_THROW(static_cast<void>(fetch(pets)), work_stopped);
    EXPECT_EQ(fs::file_size(part), 100U);
    // Then while it is verified: all bytes are there, and none is asked for again.
    listener_.on_progress = [&](const work_progress& now) {
        if (now.what.starts_with("verifying")) stop_at = "verifying";
    };
    listener_.stop_requested = [&] { return stop_at == "verifying"; };
    EXPECT_THROW(static_cast<void>(fetch(pets)), work_stopped);
    EXPECT_EQ(server.requests().size(), 2U);
    EXPECT_EQ(server.requests()[1].from(), 100U);
    EXPECT_FALSE(fs::exists(cache() / "pets"));
    // What a process that was killed while it unpacked has left.
    folder_.write("cache/pets.unpacking/images/Dog_1.jpg", "half");
    listener_ = {};
    EXPECT_FALSE(fs::exists(fetch(pets) / "images/Dog_1.jpg"));
    EXPECT_EQ(server.requests().size(), 2U);
    EXPECT_EQ(left(), std::vector<std::string>{"pets"});
}

TEST_F(fetching, into_a_folder_that_cannot_be_made) {
    folder_.write("cache", "a file");
    const http_server server([](const auto&, auto&) {});
    EXPECT_NE(test::message_of<environment_error>([&] {
                  static_cast<void>(fetch(item(server, "")));
              }).find("cannot make the folder"),
              std::string::npos);
}

TEST(fetch_sources, are_complete) {
    for (const fetch_item& item : fetch_items()) {
        EXPECT_TRUE(item.sources.front().has_hash()) << item.name;
        for (const fetch_source& source : item.sources) {
            EXPECT_TRUE(source.url.starts_with("https://")) << source.url;
            EXPECT_LE(source.bytes, item.most_bytes);
            EXPECT_TRUE(source.has_hash() || item.photographs > 0) << "nothing tells what is in it";
        }
    }
    EXPECT_EQ(pets_item().name, "pets");
    for (const fetch_item& item : fetch_items())
        for (const fetch_source& source : item.sources)
            EXPECT_EQ(source.file, net::file_name_of_url(source.url));
    // Without a hash of its own, a weight file lies under the name by which it is verified.
    EXPECT_EQ(resnet34_item().place, resnet34_item().sources[0].file);
}

} // namespace
