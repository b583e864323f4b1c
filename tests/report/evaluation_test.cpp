// SPDX-License-Identifier: Apache-2.0
// Metrics of answers, against values worked out by hand.
#include "report/evaluation.hpp"

#include <cmath>
#include <gtest/gtest.h>
#include <stdexcept>

using namespace petnet::report;

namespace {

// Logits whose softmax is `p`.
answered_photo photo(std::int32_t label, const std::vector<double>& p) {
    answered_photo result{"", label, {}};
    for (const double each : p) result.logits.push_back(static_cast<float>(std::log(each)));
    return result;
}

TEST(evaluation, of_three_classes) {
    const std::vector<answered_photo> photos{photo(0, {0.7, 0.2, 0.1}), photo(0, {0.3, 0.6, 0.1}),
                                             photo(1, {0.1, 0.8, 0.1}), photo(1, {0.5, 0.4, 0.1})};
    const evaluation e = evaluate({"a", "b", "c"}, photos);
    EXPECT_EQ(e.photographs, 4);
    EXPECT_EQ(e.wrong, 2);
    EXPECT_DOUBLE_EQ(e.error_rate, 0.5);
    EXPECT_EQ(e.top5_error, 0) << "three classes are always among five";
    EXPECT_NEAR(e.loss, -(std::log(0.7) + std::log(0.3) + std::log(0.8) + std::log(0.4)) / 4, 1e-6);
    EXPECT_EQ(e.confusion, (std::vector<std::int64_t>{1, 1, 0, 1, 1, 0, 0, 0, 0}));
    EXPECT_DOUBLE_EQ(e.of_class[0].precision(), 0.5);
    EXPECT_DOUBLE_EQ(e.of_class[1].recall(), 0.5);
    EXPECT_TRUE(std::isnan(e.of_class[2].precision()));
    EXPECT_TRUE(std::isnan(e.of_class[2].recall()));
    // One photograph a bin: 0.7 right, 0.6 wrong, 0.8 right, 0.5 wrong.
    EXPECT_NEAR(e.calibration_error, (0.3 + 0.6 + 0.2 + 0.5) / 4, 1e-6);
}

TEST(evaluation, calibration_is_by_bins_of_equal_width) {
    // 0.9 and 0.92 lie in one bin of 15, (0.8667, 0.9333]: one right of two, 0.91 confident.
    const std::vector<answered_photo> photos{photo(0, {0.9, 0.1}), photo(1, {0.92, 0.08})};
    const evaluation e = evaluate({"a", "b"}, photos);
    EXPECT_EQ(e.bins.size(), 15U);
    EXPECT_EQ(e.bins[13].photographs, 2);
    EXPECT_NEAR(e.bins[13].confidence, 0.91, 1e-6);
    EXPECT_DOUBLE_EQ(e.bins[13].accuracy, 0.5);
    EXPECT_NEAR(e.calibration_error, 0.41, 1e-6);
    const std::vector<answered_photo> sure{{"", 0, {200, -200}}};
    EXPECT_EQ(evaluate({"a", "b"}, sure).bins[14].photographs, 1) << "1 belongs to the last bin";
}

TEST(evaluation, precision_is_of_the_answers_and_recall_of_the_photographs) {
    const std::vector<answered_photo> photos{photo(0, {0.9, 0.1}), photo(1, {0.8, 0.2}), photo(1, {0.7, 0.3}),
                                             photo(1, {0.4, 0.6})};
    const evaluation e = evaluate({"a", "b"}, photos);
    EXPECT_DOUBLE_EQ(e.of_class[0].precision(), 1 / 3.0);
    EXPECT_DOUBLE_EQ(e.of_class[0].recall(), 1);
    EXPECT_DOUBLE_EQ(e.of_class[1].precision(), 1);
    EXPECT_DOUBLE_EQ(e.of_class[1].recall(), 1 / 3.0);
    EXPECT_EQ(e.confusion, (std::vector<std::int64_t>{1, 0, 2, 1})) << "rows are what a photograph shows";
}

TEST(evaluation, top5_and_confused_pairs) {
    std::vector<answered_photo> photos;
    const std::vector<std::string> classes{"a", "b", "c", "d", "e", "f", "g"};
    photos.push_back({"", 6, {9, 8, 7, 6, 0, 1, 5}}); // fifth
    photos.push_back({"", 6, {9, 8, 7, 6, 5, 0, 4}}); // sixth
    photos.push_back({"", 5, {3, 3, 3, 3, 3, 3, 3}}); // a tie of all: the sixth
    photos.push_back({"", 1, {0, 1, 9, 0, 0, 0, 0}});
    const evaluation e = evaluate(classes, photos);
    EXPECT_DOUBLE_EQ(e.top5_error, 0.5);
    EXPECT_EQ(e.wrong, 4);
    const std::vector<confused_pair> pairs = most_confused(e, 2);
    ASSERT_EQ(pairs.size(), 2U);
    EXPECT_EQ(pairs[0].truth, 6U);
    EXPECT_EQ(pairs[0].answer, 0U);
    EXPECT_EQ(pairs[0].photographs, 2);
    EXPECT_EQ(pairs[1].truth, 1U) << "equals stand in the order of the classes";
}

TEST(evaluation, refuses_what_does_not_fit) {
    EXPECT_THROW(static_cast<void>(evaluate({"a"}, {})), std::logic_error);
    const std::vector<answered_photo> wrong_label{{"", 2, {1, 2}}}, wrong_size{{"", 0, {1}}};
    EXPECT_THROW(static_cast<void>(evaluate({"a", "b"}, wrong_label)), std::logic_error);
    EXPECT_THROW(static_cast<void>(evaluate({"a", "b"}, wrong_size)), std::logic_error);
}

} // namespace
