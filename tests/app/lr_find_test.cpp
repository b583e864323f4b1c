// SPDX-License-Identifier: Apache-2.0
// petnet lr-find: a number, a picture, and nothing else.
#include "tests/app/folders.hpp"

#include <csignal>

using namespace petnet::testing;

namespace {

class lr_find : public work_folder {
  protected:
    // Runs in an empty folder of its own.
    [[nodiscard]] surroundings in(const std::string& name) const {
        fs::create_directories(folder() / name);
        return {.environment = {{"PETNET_OUTPUT", "train's"}}, .folder = at(name)};
    }
    [[nodiscard]] arguments finding(const std::string& data, const arguments& more = {}) const {
        arguments words{"lr-find",      "--data", data,          "--weights", "random",    "--size", "32",
                        "--batch-size", "4",      "--precision", "fp32",      "--threads", "1"};
        words.insert(words.end(), more.begin(), more.end());
        return words;
    }
    [[nodiscard]] std::vector<std::string> files(const std::string& name) const {
        std::vector<std::string> found;
        for (const fs::directory_entry& entry : fs::recursive_directory_iterator(folder() / name))
            found.push_back(fs::relative(entry.path(), folder() / name));
        return found;
    }
};

TEST_F(lr_find, a_number_and_a_picture) {
    const std::string data = photographs("d");
    const outcome result = run(finding(data), in("a"));
    ASSERT_EQ(result.code, 0) << result.err;
    std::size_t read = 0;
    const double lr = std::stod(result.out, &read);
    EXPECT_EQ(result.out.substr(read), "\n") << "the number alone, for scripts";
    EXPECT_GE(lr, 1e-7);
    EXPECT_LT(lr, 10);
    EXPECT_EQ(files("a"), std::vector<std::string>{"lr-find.svg"});
    const std::string picture = content_of(folder() / "a" / "lr-find.svg");
    EXPECT_NE(picture.find("suggested: "), std::string::npos) << picture;
    EXPECT_TRUE(picture.ends_with("</svg>\n"));
    EXPECT_EQ(std::distance(fs::recursive_directory_iterator(data), {}), 20) << "the data were touched";

    const outcome again = run(finding(data, {"--quiet", "--json", "--output", "b.svg"}), in("b"));
    ASSERT_EQ(again.code, 0) << again.err;
    EXPECT_EQ(again.err, "");
    EXPECT_EQ(files("b"), std::vector<std::string>{"b.svg"});
    EXPECT_EQ(content_of(folder() / "b" / "b.svg"), picture) << "other bits";
    const nlohmann::json json = nlohmann::json::parse(again.out);
    EXPECT_NEAR(json.at("lr"), lr, 1e-5 * lr);
    const auto &rates = json.at("curve").at("lr"), &losses = json.at("curve").at("loss");
    EXPECT_EQ(rates.size(), losses.size());
    EXPECT_GT(rates.size(), 15U);
    EXPECT_LE(rates.size(), 100U);
    EXPECT_NE(std::find(rates.begin(), rates.end(), json.at("lr")), rates.end());
}

TEST_F(lr_find, an_interruption_leaves_nothing) {
    const std::string data = photographs("d");
    program running(finding(data), in("a"));
    EXPECT_TRUE(running.wait_until([&] { return running.err_so_far().find("Device") != std::string::npos; }));
    running.signal(SIGINT);
    const outcome result = running.end();
    EXPECT_EQ(result.code, 130) << result.err;
    EXPECT_EQ(result.out, "");
    EXPECT_EQ(files("a"), std::vector<std::string>{});
}

TEST_F(lr_find, refused_before_the_first_step) {
    const std::string data = photographs("d", 8);
    const std::vector<std::pair<arguments, std::string>> cases{
        {{"--output", "picture.png"}, ".svg"},  {{"--output", "missing/a.svg"}, "missing"},
        {{"--batch-size", "1"}, "batch-size"},  {{"--batch-size", "64"}, "batch-size"},
        {{"--weights", "imagnet"}, "imagenet"}, {{"--epochs", "3"}, "--epochs"},
    };
    for (const auto& [more, part] : cases) {
        arguments words{"lr-find", "--data", data};
        if (more.front() != "--weights") words.insert(words.end(), {"--weights", "random"});
        words.insert(words.end(), more.begin(), more.end());
        EXPECT_TRUE(refused(run(words, in("a")), 2, {part})) << more.front() << ' ' << more.back();
    }
    EXPECT_EQ(files("a"), std::vector<std::string>{});
}

} // namespace
