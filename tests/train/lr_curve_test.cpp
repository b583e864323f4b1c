// SPDX-License-Identifier: Apache-2.0
// What fastai's own lr_find answered, for scripted losses and on the embedded sample (record_lr_find.py).
#include "train/lr_curve.hpp"

#include <algorithm>
#include <cmath>
#include <fstream>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <vector>

using namespace petnet::train;

namespace {

nlohmann::json recorded() { return nlohmann::json::parse(std::ifstream(PETNET_LR_FIND_RECORD)); }

double number(const nlohmann::json& value) {
    if (value.is_null()) return std::nan("");
    return value.is_string() ? std::stod(value.get<std::string>()) : value.get<double>();
}

// To the place: neighbouring rates differ by a fifth.
void expect_suggestion(const std::optional<lr_point>& actual, const nlohmann::json& expected) {
    ASSERT_EQ(actual.has_value(), !expected.is_null());
    if (actual) {
        EXPECT_NEAR(actual->lr, expected.get<double>(), 1e-6 * actual->lr);
    }
}

} // namespace

TEST(lr_curve, fastai_s_rates) {
    const nlohmann::json rates = recorded().at("lr");
    ASSERT_EQ(std::ssize(rates), lr_search_steps);
    for (std::int64_t step = 0; step < lr_search_steps; ++step) {
        const double lr = rates.at(static_cast<std::size_t>(step));
        EXPECT_NEAR(lr_of_search(step), lr, 1e-8 * lr) << "step " << step;
    }
}

TEST(lr_curve, fastai_s_suggestions) {
    const nlohmann::json curves = recorded().at("curves");
    for (const auto& expected : curves) {
        SCOPED_TRACE(expected.at("name").get<std::string>());
        std::vector<lr_point> points;
        for (const auto& loss : expected.at("smoothed"))
            points.push_back({lr_of_search(std::ssize(points)), number(loss)});
        expect_suggestion(suggested_lr(points), expected.at("suggestion"));
    }
}

// The same end, the same smoothed losses, and with them the same suggestion.
TEST(lr_curve, fastai_s_curves) {
    const nlohmann::json curves = recorded().at("curves");
    ASSERT_GE(curves.size(), 19U);
    for (const auto& expected : curves) {
        SCOPED_TRACE(expected.at("name").get<std::string>());
        const auto& losses = expected.at("step_losses");
        lr_curve curve;
        for (std::size_t i = 0; i < losses.size(); ++i) {
            EXPECT_FALSE(curve.complete()) << "ended before step " << i;
            curve.add(lr_of_search(static_cast<std::int64_t>(i)), number(losses.at(i)));
            // fastai sums in float32: a rounding of 6e-8 for each of up to 100 steps.
            const double smoothed = number(expected.at("smoothed").at(i)),
                         actual = curve.points().back().loss;
            if (std::isfinite(smoothed))
                EXPECT_NEAR(actual, smoothed, 6e-6 * std::abs(smoothed)) << "step " << i;
            else
                EXPECT_EQ(std::isnan(actual), std::isnan(smoothed)) << "step " << i;
        }
        EXPECT_TRUE(curve.complete());
        // Where all losses are the same, rounding decides between their means.
        if (!std::ranges::all_of(losses, [&](const auto& loss) { return loss == losses.front(); }))
            expect_suggestion(suggested_lr(curve.points()), expected.at("suggestion"));
    }
}
