// SPDX-License-Identifier: Apache-2.0
// petnet evaluate: the same numbers as the training's validation, and what does not fit.
#include "tests/app/folders.hpp"

using namespace petnet::testing;

namespace {

class evaluate : public work_folder {};

// Precision and recall of two classes; null where there is no such number.
void expect_quality_of_confusion(const nlohmann::json& found) {
    const auto count = [&](std::size_t truth, std::size_t answer) {
        return found.at("confusion").at(truth).at(answer).get<double>();
    };
    for (std::size_t c = 0; c < 2; ++c) {
        const auto ratio = [&](double whole) {
            return whole > 0 ? nlohmann::json(count(c, c) / whole) : nlohmann::json();
        };
        const nlohmann::json& of_class = found.at("classes").at(c);
        EXPECT_EQ(of_class.at("precision"), ratio(count(0, c) + count(1, c)));
        EXPECT_EQ(of_class.at("recall"), ratio(count(c, 0) + count(c, 1)));
    }
}

TEST_F(evaluate, finds_what_the_training_found) {
    const std::string data = photographs("d");
    const outcome made = run(training(data, "o", {"--epochs", "0", "--quiet"}));
    ASSERT_EQ(made.code, 0) << made.err;
    const nlohmann::json epoch = metrics_of("o").back();

    const arguments words{"evaluate", "--model", at("o"), "--data", data, "--valid-list", at("o/valid.txt")};
    arguments as_json = words;
    as_json.emplace_back("--json");
    const outcome result = run(as_json);
    ASSERT_EQ(result.code, 0) << result.err;
    const nlohmann::json found = nlohmann::json::parse(result.out);
    EXPECT_EQ(found.at("photographs"), 4);
    // The same weights and pixels in float32; batches of another size are summed in another order.
    EXPECT_NEAR(found.at("loss"), epoch.at("valid_loss"), 1e-4);
    EXPECT_EQ(found.at("error_rate"), epoch.at("error_rate"));
    EXPECT_EQ(found.at("top5_error"), 0);
    EXPECT_EQ(found.at("classes").size(), 2U);
    EXPECT_EQ(found.at("calibration_bins").size(), 15U);
    int wrong = 0, all = 0;
    for (std::size_t truth = 0; truth < 2; ++truth)
        for (std::size_t answer = 0; answer < 2; ++answer) {
            const int count = found.at("confusion").at(truth).at(answer);
            all += count;
            wrong += truth != answer ? count : 0;
        }
    EXPECT_EQ(all, 4);
    EXPECT_GE(found.at("images_per_second"), 4 / result.seconds) << "the program's own start counted";
    expect_quality_of_confusion(found);
    EXPECT_DOUBLE_EQ(wrong / 4.0, found.at("error_rate"));

    arguments reporting = words;
    reporting.insert(reporting.end(), {"--report", at("page.html")});
    const outcome plain = run(reporting);
    EXPECT_NE(content_of(folder() / "page.html").find("data:image/jpeg"), std::string::npos);
    fs::create_directory(folder() / "folder.html");
    EXPECT_TRUE(refused(run({"evaluate", "--model", at("o"), "--data", data, "--report", at("folder.html")}),
                        2, {"is a folder"}));
    EXPECT_TRUE(refused(run({"evaluate", "--model", at("o"), "--data", data, "--report", at("page.txt")}), 2,
                        {".html"}));
    for (const char* part : {"class", "cat", "dog", "loss", "error_rate", "calibration_error"})
        EXPECT_NE(plain.out.find(part), std::string::npos) << part << "\n" << plain.out;

    write("d/bad_1.jpg", "no photograph");
    EXPECT_TRUE(refused(run({"evaluate", "--model", at("o"), "--data", data, "--labels", "breed"}), 3,
                        {"not one of the 2 known classes: cat, dog"}));
    const outcome bad = run({"evaluate", "--model", at("o"), "--data", data, "--json"});
    EXPECT_EQ(bad.code, 3);
    EXPECT_NE(bad.err.find("bad_1.jpg"), std::string::npos) << bad.err;
    EXPECT_EQ(nlohmann::json::parse(bad.out).at("photographs"), 20) << "the others were not evaluated";
    expect_quality_of_confusion(nlohmann::json::parse(bad.out));
    EXPECT_TRUE(refused(run({"evaluate", "--model", at("o")}), 2, {"--data"}));
}

} // namespace
