// SPDX-License-Identifier: Apache-2.0
// `petnet data fetch`, and train where it fetches what it needs.
#include "base/files.hpp"
#include "tests/app/folders.hpp"
#include "tests/support/http_server.hpp"

#include <csignal>
#include <regex>
#include <span>

using namespace petnet::testing;
using namespace std::chrono_literals;

namespace {

class fetch : public work_folder {
  protected:
    // With a cache of the test's own, and nobody else's servers.
    [[nodiscard]] surroundings here(std::map<std::string, std::string> more = {}) const {
        more.insert({{"PETNET_CACHE_DIR", at("cache")}, {"no_proxy", "127.0.0.1"}});
        return {.environment = more};
    }
    [[nodiscard]] surroundings offline() const {
        return here({{"PETNET_PETS_URL", url_of_nobody("/images.tar.gz")},
                     {"PETNET_RESNET34_URL", url_of_nobody("/resnet34-b627a593.pth")}});
    }
    const served_file page_{.content = std::string(200'000, 'x')};
};

TEST_F(fetch, without_a_network_says_in_one_line_what_to_do) {
    EXPECT_TRUE(refused(run({"data", "fetch", "pets"}, offline()), 4,
                        {"download https://www.robots.ox.ac.uk/~vgg/data/pets/data/images.tar.gz yourself",
                         "put it at " + at("cache/images.tar.gz")}));
    EXPECT_TRUE(refused(run({"data", "fetch", "resnet34", "--cache", at("other")}, offline()), 4,
                        {"download https://download.pytorch.org/models/resnet34-b627a593.pth yourself",
                         "put it at " + at("other/resnet34-b627a593.pth")}));
    arguments words = training("pets", "o");
    surroundings where = offline();
    where.folder = folder();
    EXPECT_TRUE(refused(run(words, where), 4, {"Oxford-IIIT Pet photographs", at("cache/images.tar.gz")}));
    EXPECT_FALSE(fs::exists(at("o")));
}

TEST_F(fetch, verifies_what_comes_from_a_mirror) {
    http_server server([&](const auto& request, auto& connection) { page_.send(request, connection); });
    const outcome weights = run({"data", "fetch", "resnet34", "--url", server.url("/w")}, here());
    EXPECT_EQ(weights.code, 4) << weights.err;
    EXPECT_NE(weights.err.find("a SHA-256 that begins with b627a593 was expected"), std::string::npos);
    const outcome pets = run({"data", "fetch", "pets", "--url", server.url("/p")}, here());
    EXPECT_NE(pets.err.find("the MD5 5c4f3ee8e5d25df40f4fd59a7f44e54c was expected"), std::string::npos)
        << pets.err;
    // fastai's archive has a size.
    const outcome tgz = run({"data", "fetch", "pets", "--url", server.url("/oxford-iiit-pet.tgz")}, here());
    EXPECT_NE(tgz.err.find("811706944 bytes was expected"), std::string::npos) << tgz.err;
    EXPECT_FALSE(fs::exists(at("cache/pets")));
}

TEST_F(fetch, a_file_put_there_by_hand_is_verified) {
    write("cache/resnet34-b627a593.pth", "no weights");
    EXPECT_TRUE(refused(run({"data", "fetch", "resnet34"}, offline()), 3,
                        {at("cache/resnet34-b627a593.pth"), "b627a593 was expected"}));
    arguments words = training(photographs("d", 8), "o", {"--weights", "imagenet"});
    EXPECT_TRUE(refused(run(words, offline()), 3, {at("cache/resnet34-b627a593.pth")}));
    write("cache/images.tar.gz", "no archive");
    EXPECT_TRUE(refused(run({"data", "fetch", "pets"}, offline()), 3, {at("cache/images.tar.gz")}));
}

TEST_F(fetch, what_is_there_is_used_by_its_name) {
    photographs("cache/pets/images", 10);
    const outcome result = run({"data", "fetch", "pets"}, offline());
    EXPECT_EQ(result.code, 0) << result.err;
    EXPECT_EQ(result.out, at("cache/pets") + "\n");
    surroundings where = offline();
    where.folder = folder();
    const outcome trained = run(training("pets", "o", {"--epochs", "0"}), where);
    EXPECT_EQ(trained.code, 0) << trained.err;
    EXPECT_EQ(record_of("o").at("data").at("folder"), at("cache/pets"));
    // A folder of that name is what is meant.
    photographs("pets", 8);
    run_to_first_step(training("pets", "own"), "own", where);
    EXPECT_EQ(record_of("own").at("data").at("folder"), "pets");
    const std::string doctor = run({"doctor"}, offline()).out;
    EXPECT_TRUE(std::regex_search(doctor, std::regex("Oxford-IIIT Pet photographs +" + at("cache/pets"))));
}

TEST_F(fetch, ctrl_c_keeps_the_part_and_the_next_run_continues) {
    http_server server([&](const auto& request, auto& connection) {
        page_.send(request, connection, request.number == 0 ? 100'000 : page_.content.size());
        if (request.number == 0) connection.stall(60s);
    });
    const fs::path part = at("cache/resnet34-b627a593.pth.part");
    const arguments words{"data", "fetch", "resnet34", "--url", server.url("/w")};
    program running(words, here());
    ASSERT_TRUE(running.wait_until([&] {
        std::error_code none;
        return fs::exists(part, none) && fs::file_size(part, none) == 100'000;
    }));
    running.signal(SIGINT);
    const outcome stopped = running.end();
    EXPECT_EQ(stopped.code, 130);
    EXPECT_NE(stopped.err.find("the same command continues"), std::string::npos) << stopped.err;
    EXPECT_EQ(fs::file_size(part), 100'000U);
    const outcome continued = run(words, here());
    EXPECT_EQ(continued.code, 4);
    EXPECT_EQ(server.requests().back().from(), 100'000U);
    EXPECT_NE(continued.err.find(petnet::sha256(std::as_bytes(std::span(page_.content)))), std::string::npos)
        << "the file that was put together is not the server's: " << continued.err;
}

TEST_F(fetch, ctrl_c_before_a_training_keeps_the_part) {
    http_server server([&](const auto& request, auto& connection) {
        page_.send(request, connection, 100'000);
        connection.stall(60s);
    });
    program running(training(photographs("d", 8), "o", {"--weights", "imagenet"}),
                    here({{"PETNET_RESNET34_URL", server.url("/w")}}));
    ASSERT_TRUE(
        running.wait_until([&] { return running.err_so_far().find("downloading") != std::string::npos; }));
    running.signal(SIGTERM);
    const outcome stopped = running.end();
    EXPECT_EQ(stopped.code, 143) << stopped.err;
    EXPECT_NE(stopped.err.find("what was downloaded is kept"), std::string::npos) << stopped.err;
    EXPECT_FALSE(fs::exists(at("o")));
}

TEST_F(fetch, a_bar_on_a_terminal_and_plain_lines_elsewhere) {
    http_server server([&](const auto& request, auto& connection) {
        page_.send(request, connection, 100'000);
        connection.stall(500ms);
        if (request.number % 2 == 1) connection.send(std::string(100'000, 'x'));
    });
    const std::string url = server.url("/w");
    const std::string shown = run_on_terminal({"data", "fetch", "resnet34", "--url", url}, here()).out;
    EXPECT_TRUE(std::regex_search(
        shown, std::regex(R"(\rdownloading w \[#+ *\] 50 %  0\.1/0\.2 MB  \d+\.\d MB/s  \d\d:\d\d left)")))
        << shown;
    const outcome plain = run({"data", "fetch", "resnet34", "--url", url}, here());
    EXPECT_EQ(plain.err.find('\r'), std::string::npos) << plain.err;
    EXPECT_NE(plain.err.find("downloading " + url + "\n"), std::string::npos) << plain.err;
}

TEST_F(fetch, misspelt) {
    EXPECT_TRUE(refused(run({"data", "fetch", "petz"}), 2, {"\"petz\"", "did you mean pets?"}));
    EXPECT_TRUE(refused(run({"data", "fetch", "imagenet"}), 2, {"only pets and resnet34"}));
    EXPECT_TRUE(
        refused(run({"data", "fech", "pets"}), 2, {"\"fech\"", "did you mean fetch?", "petnet data --help"}));
    EXPECT_TRUE(refused(run({"data", "fetch", "pets", "--chache", "x"}), 2,
                        {"did you mean --cache?", "petnet data fetch --help"}));
    EXPECT_TRUE(refused(run({"data", "fetch", "pets", "more"}), 2, {"\"more\" for petnet data fetch"}));
    EXPECT_TRUE(refused(run({"data", "fetch", "pets", "--cache="}), 2, {"--cache is empty"}));
    EXPECT_TRUE(refused(run({"data", "fetch"}), 2, {"name"}));
    EXPECT_TRUE(refused(run({"data"}), 2, {"subcommand"}));
    const outcome help = run({"data", "fetch", "--help"});
    EXPECT_EQ(help.code, 0);
    EXPECT_NE(help.out.find("Usage: petnet data fetch"), std::string::npos) << help.out;
}

} // namespace
