// SPDX-License-Identifier: Apache-2.0
#include "report/confusion_chart.hpp"

#include <gmock/gmock.h>

using namespace petnet::report;
using ::testing::HasSubstr;
using ::testing::Not;

namespace {

evaluation of(std::vector<std::string> classes) {
    // Of the first class one is right; of the second one is right and two are taken for the first.
    std::vector<answered_photo> photos{{"", 0, {1, 0}}, {"", 1, {1, 0}}, {"", 1, {1, 0}}, {"", 1, {0, 1}}};
    for (answered_photo& photo : photos) photo.logits.resize(classes.size(), -1);
    return evaluate(std::move(classes), photos);
}

TEST(confusion_chart, a_row_is_what_a_photograph_shows) {
    const std::string svg = svg_of_confusion(of({"cat", "dog"}));
    EXPECT_THAT(svg, HasSubstr("<title>dog taken for cat: 2 of 3</title>"));
    EXPECT_THAT(svg, HasSubstr("<title>cat taken for cat: 1 of 1</title>"));
    EXPECT_THAT(svg, Not(HasSubstr("cat taken for dog"))) << "there is none";
    // Of two classes: names of 4 letters, cells of 52. Rows go down, answers to the right.
    EXPECT_THAT(svg, HasSubstr(R"(<rect class="wrong" x="62.8" y="114.8")"));
    EXPECT_THAT(svg, HasSubstr(R"(<rect class="right" x="114.8" y="114.8")"));
    EXPECT_THAT(svg, HasSubstr(R"(text-anchor="middle">2</text>)"));
}

TEST(confusion_chart, long_names_are_cut_and_many_classes_have_no_numbers) {
    std::vector<std::string> classes{"<a>", std::string(25, 'x') + "\u00e4\u00e4"};
    while (classes.size() < 13) classes.push_back("c" + std::to_string(classes.size()));
    const std::string svg = svg_of_confusion(of(classes));
    EXPECT_THAT(svg, HasSubstr(">" + std::string(25, 'x') + "\u2026</text>"));
    EXPECT_THAT(svg, HasSubstr(">&lt;a&gt;</text>"));
    EXPECT_THAT(svg, Not(HasSubstr("class=\"count")));
}

} // namespace
