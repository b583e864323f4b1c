// SPDX-License-Identifier: Apache-2.0
// The report: whole, escaped, and asking no other host for anything.
#include "report/report_page.hpp"

#include "data/decode.hpp"
#include "report/confusion_table.hpp"

#include <algorithm>
#include <filesystem>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <regex>
#include <unistd.h>

using namespace petnet;
using namespace petnet::report;

namespace {

const std::string evil = R"(<script>alert("x")</script>&'http://example.org/a.js')";

report_page sample() {
    const std::vector<answered_photo> photos{
        {"a.jpg", 0, {2, 0}}, {evil, 0, {-3, 3}}, {"c.jpg", 1, {0, 1}}, {"d.jpg", 1, {0.5F, 0}}};
    report_page page{.title = "A training " + evil,
                     .subtitle = evil,
                     .charts = {{.title = evil,
                                 .x = {.label = "x"},
                                 .y = {.label = "y"},
                                 .series = {{"s", {{0, 1}, {1, 2}}}},
                                 .marks = {}}},
                     .answers = evaluate({"cat", evil}, photos),
                     .top_losses = {},
                     .facts = {{evil, {{evil, evil}}}}};
    const auto pixels = [](std::size_t i) -> std::shared_ptr<const data::half_resized> {
        if (i == 3) return nullptr; // cannot be read again
        data::rgb_image image{300, 200, std::vector<std::uint8_t>(300 * 200 * 3, 90)};
        return std::make_shared<data::half_resized>(data::resize_covered_axis(image, 224));
    };
    page.top_losses = top_losses(photos, 3, pixels);
    return page;
}

TEST(report_page, shows_the_largest_losses_first) {
    const report_page page = sample();
    ASSERT_EQ(page.top_losses.size(), 3U);
    EXPECT_EQ(page.top_losses[0].name, evil);
    EXPECT_NEAR(page.top_losses[0].loss, 6.002476, 1e-5);
    EXPECT_EQ(page.top_losses[0].answer, 1U);
    EXPECT_NEAR(page.top_losses[0].probability, 0.997527, 1e-5);
    EXPECT_EQ(page.top_losses[1].name, "d.jpg");
    EXPECT_TRUE(page.top_losses[1].jpeg.empty());
    const data::rgb_image picture = data::decode(page.top_losses[0].jpeg, "picture");
    EXPECT_EQ(picture.width, 192U);
    EXPECT_EQ(picture.height, 192U);
}

TEST(report_page, is_whole_and_escaped_and_stands_alone) {
    const std::string html = html_of(sample());
    EXPECT_TRUE(html.starts_with("<!doctype html>"));
    EXPECT_TRUE(html.ends_with("</html>\n"));
    EXPECT_EQ(html.find("<script"), std::string::npos) << "text became markup";
    // No attribute and no style leads anywhere else.
    EXPECT_FALSE(std::regex_search(html, std::regex(R"((src|href)="(?!data:))")));
    EXPECT_EQ(html.find("url("), std::string::npos);
    EXPECT_EQ(html.find("@import"), std::string::npos);
    for (const char* part :
         {"content=\"default-src 'none'; style-src 'unsafe-inline'; img-src data:\"", "Confusion matrix",
          "Confused most", "Top losses", "Calibration", "data:image/jpeg;base64,/9j/",
          "0.5000</b>error rate, 2 of 4", "class=\"missing\""})
        EXPECT_NE(html.find(part), std::string::npos) << part;
    const auto count = [&](const std::string& part) {
        std::size_t found = 0;
        for (std::size_t at = html.find(part); at != std::string::npos; at = html.find(part, at + 1)) ++found;
        return found;
    };
    for (const char* element : {"svg", "table", "figure", "section", "dl", "ul", "div"})
        EXPECT_EQ(count("<" + std::string(element) + ">") + count("<" + std::string(element) + " "),
                  count("</" + std::string(element) + ">"))
            << element;

    report_page bare = sample();
    bare.answers.reset();
    EXPECT_EQ(html_of(bare).find("Confusion"), std::string::npos);
}

// Each of `count` classes has a photograph that is right and one that is taken for the next class.
evaluation many_classes(std::size_t count) {
    std::vector<std::string> names;
    std::vector<answered_photo> photos;
    for (std::size_t c = 0; c < count; ++c) {
        names.push_back("class, \"" + std::string(200, 'n') + "\" " + std::to_string(c));
        for (const std::size_t answer : {c, (c + 1) % count}) {
            std::vector<float> logits(count, 0);
            logits[answer] = 1;
            photos.push_back({"a.jpg", static_cast<std::int32_t>(c), logits});
        }
    }
    return evaluate(names, photos);
}

TEST(report_page, of_many_classes_is_bounded_and_has_a_table_beside_it) {
    const std::filesystem::path folder =
        std::filesystem::temp_directory_path() / ("petnet_report_" + std::to_string(::getpid()));
    std::filesystem::create_directories(folder);
    report_page page = sample();
    for (const std::size_t count : {most_classes_shown, most_classes_shown + 1, std::size_t{1500}}) {
        page.answers = many_classes(count);
        write_report(folder / "report.html", page);
        EXPECT_LT(std::filesystem::file_size(folder / "report.html"), 2'000'000U) << count;
        EXPECT_EQ(std::filesystem::exists(folder / "report.csv"), count > most_classes_shown) << count;
    }
    const std::string csv = csv_of_confusion(*page.answers),
                      name = "\"class, \"\"" + std::string(200, 'n') + "\"\" ";
    EXPECT_TRUE(csv.starts_with("is,was_taken_for,photographs\n" + name + "0\"," + name + "0\",1\n" + name +
                                "0\"," + name + "1\",1\n"));
    EXPECT_EQ(std::ranges::count(csv, '\n'), 1 + 2 * 1500);
    const std::string html = html_of(page);
    EXPECT_NE(html.find("The whole matrix of 1500 classes is in report.csv."), std::string::npos);
    EXPECT_NE(html.find("Classes found least often"), std::string::npos);
    std::filesystem::remove_all(folder);
}

} // namespace
