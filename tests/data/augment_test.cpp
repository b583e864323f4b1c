// SPDX-License-Identifier: Apache-2.0
// The draws against the laws that data/augment.hpp states. The seed is fixed, so that a test passes always or
// never; each comparison would fail by chance for one seed in 100,000, and there are about 100 of them.
#include "data/augment.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <functional>
#include <set>
#include <string>
#include <vector>

namespace petnet::data {
namespace {

constexpr std::size_t photographs = 20000;
constexpr std::uint64_t seed = 42;
// Quantiles of the level 1e-5: the normal distribution (either side), Kolmogorov's, chi-squared of 15
// degrees.
constexpr double normal_limit = 4.42, kolmogorov_limit = 2.47, chi_squared_limit = 50.5;

std::string name_of(std::size_t photograph) { return "Abyssinian_" + std::to_string(photograph) + ".jpg"; }

std::vector<augmentation> draw_all(std::uint64_t epoch) {
    std::vector<augmentation> drawn;
    for (std::size_t i = 0; i < photographs; ++i) drawn.push_back(draw_augmentation(seed, epoch, name_of(i)));
    return drawn;
}

// A number that is drawn uniformly from (low, high) with a probability, and is `otherwise` else.
struct law {
    const char* name;
    double probability, low, high, otherwise;
    std::function<double(const augmentation&)> value;

    [[nodiscard]] bool applied(const augmentation& drawn) const {
        return probability == 1 || value(drawn) != otherwise;
    }
    // Uniform in (0, 1), where it applies.
    [[nodiscard]] double uniform(const augmentation& drawn) const {
        return (value(drawn) - low) / (high - low);
    }
};

const double log_contrast = -std::log(0.8);
const std::vector<law> laws{
    {"warp_x", 0.75, -0.2, 0.2, 0, [](const augmentation& a) { return a.warp_x; }},
    {"warp_y", 0.75, -0.2, 0.2, 0, [](const augmentation& a) { return a.warp_y; }},
    {"degrees", 0.75, -10, 10, 0, [](const augmentation& a) { return a.degrees; }},
    {"zoom", 0.75, 1, 1.1, 1, [](const augmentation& a) { return a.zoom; }},
    {"zoom_x", 1, 0, 1, 0.5, [](const augmentation& a) { return a.zoom_x; }},
    {"zoom_y", 1, 0, 1, 0.5, [](const augmentation& a) { return a.zoom_y; }},
    {"brightness", 0.75, 0.4, 0.6, 0.5, [](const augmentation& a) { return a.brightness; }},
    {"contrast", 0.75, -log_contrast, log_contrast, 0,
     [](const augmentation& a) { return std::log(a.contrast); }},
};

// By how many standard deviations `count` of `tried` departs from its probability.
double departure(std::size_t count, std::size_t tried, double probability) {
    const auto n = static_cast<double>(tried);
    return (static_cast<double>(count) - n * probability) / std::sqrt(n * probability * (1 - probability));
}

// Kolmogorov's statistic sqrt(n) * sup |empirical distribution - uniform one|.
double kolmogorov_statistic(std::vector<double> values) {
    std::ranges::sort(values);
    const auto n = static_cast<double>(values.size());
    double largest = 0;
    for (std::size_t i = 0; i < values.size(); ++i)
        largest = std::max(
            {largest, static_cast<double>(i + 1) / n - values[i], values[i] - static_cast<double>(i) / n});
    return largest * std::sqrt(n);
}

// Of pairs in the unit square, whose 16 parts should hold as many each.
double chi_squared_statistic(const std::vector<std::array<double, 2>>& pairs) {
    std::array<double, 16> counts{};
    for (const auto& [x, y] : pairs) {
        const auto part = [](double u) { return std::min<std::size_t>(3, static_cast<std::size_t>(4 * u)); };
        ++counts[4 * part(x) + part(y)];
    }
    const double expected = static_cast<double>(pairs.size()) / 16;
    double sum = 0;
    for (const double count : counts) sum += (count - expected) * (count - expected) / expected;
    return sum;
}

// Both values, where both apply.
double joint_statistic(const std::vector<augmentation>& first, const law& of_first,
                       const std::vector<augmentation>& second, const law& of_second) {
    std::vector<std::array<double, 2>> pairs;
    for (std::size_t i = 0; i < photographs; ++i)
        if (of_first.applied(first[i]) && of_second.applied(second[i]))
            pairs.push_back({of_first.uniform(first[i]), of_second.uniform(second[i])});
    return chi_squared_statistic(pairs);
}

TEST(augment_test, draws_have_their_probabilities) {
    const std::vector<augmentation> drawn = draw_all(0);
    const auto flips = std::ranges::count_if(drawn, &augmentation::flip);
    EXPECT_LT(std::abs(departure(static_cast<std::size_t>(flips), photographs, 0.5)), normal_limit);
    for (const law& l : laws) {
        const auto applied = std::ranges::count_if(drawn, [&](const auto& a) { return l.applied(a); });
        if (l.probability == 1) continue;
        EXPECT_LT(std::abs(departure(static_cast<std::size_t>(applied), photographs, l.probability)),
                  normal_limit)
            << l.name;
    }
}

TEST(augment_test, draws_are_uniform_in_their_ranges) {
    const std::vector<augmentation> drawn = draw_all(0);
    for (const law& l : laws) {
        std::vector<double> values;
        for (const augmentation& a : drawn)
            if (l.applied(a)) values.push_back(l.uniform(a));
        EXPECT_GE(std::ranges::min(values), -1e-12) << l.name; // the logarithm of contrast is rounded
        EXPECT_LE(std::ranges::max(values), 1 + 1e-12) << l.name;
        EXPECT_LT(kolmogorov_statistic(std::move(values)), kolmogorov_limit) << l.name;
    }
}

TEST(augment_test, draws_of_a_photograph_are_independent_of_each_other) {
    const std::vector<augmentation> drawn = draw_all(0);
    for (std::size_t i = 0; i < laws.size(); ++i)
        for (std::size_t j = 0; j < i; ++j)
            EXPECT_LT(joint_statistic(drawn, laws[i], drawn, laws[j]), chi_squared_limit)
                << laws[i].name << " and " << laws[j].name;

    // Whether they apply at all, and the flip: all pairs of them.
    std::vector<std::function<bool(const augmentation&)>> events{
        [](const augmentation& a) { return a.flip; }};
    std::vector<double> probabilities{0.5};
    for (const law& l : laws) {
        if (l.probability == 1) continue;
        events.emplace_back([&l](const augmentation& a) { return l.applied(a); });
        probabilities.push_back(l.probability);
    }
    for (std::size_t i = 0; i < events.size(); ++i)
        for (std::size_t j = 0; j < i; ++j) {
            const auto both =
                std::ranges::count_if(drawn, [&](const auto& a) { return events[i](a) && events[j](a); });
            EXPECT_LT(std::abs(departure(static_cast<std::size_t>(both), photographs,
                                         probabilities[i] * probabilities[j])),
                      normal_limit)
                << i << " and " << j;
        }
}

TEST(augment_test, draws_of_epochs_are_independent_of_each_other) {
    const std::vector<augmentation> first = draw_all(0), second = draw_all(1);
    for (const law& l : laws) EXPECT_LT(joint_statistic(first, l, second, l), chi_squared_limit) << l.name;
}

TEST(augment_test, draws_depend_on_seed_epoch_and_name_alone) {
    const photo_transform once = transform_of(draw_augmentation(1, 2, "a.jpg"));
    EXPECT_EQ(once, transform_of(draw_augmentation(1, 2, "a.jpg")));
    std::set<photo_transform> all{once};
    all.insert(transform_of(draw_augmentation(2, 2, "a.jpg")));
    all.insert(transform_of(draw_augmentation(1, 3, "a.jpg")));
    all.insert(transform_of(draw_augmentation(1, 2, "b.jpg")));
    EXPECT_EQ(all.size(), 4);
}

TEST(augment_test, what_draws_nothing_changes_nothing) {
    EXPECT_EQ(transform_of({}), (photo_transform{1, 0, 0, 0, 1, 0, 0, 0, 1, 0, 1}));
}

// Where a point of the output is sampled.
std::array<double, 2> sampled(const augmentation& a, double x, double y) {
    const photo_transform m = transform_of(a);
    const double t = m[6] * x + m[7] * y + m[8];
    return {(m[0] * x + m[1] * y + m[2]) / t, (m[3] * x + m[4] * y + m[5]) / t};
}

void expect_near(const std::array<double, 2>& actual, double x, double y) {
    EXPECT_NEAR(actual[0], x, 1e-12);
    EXPECT_NEAR(actual[1], y, 1e-12);
}

TEST(augment_test, warp_moves_the_corners_that_fastai_moves) {
    augmentation a;
    const double x = a.warp_x = 0.17, y = a.warp_y = -0.12;
    expect_near(sampled(a, -1 - y, -1 - x), -1, -1);
    expect_near(sampled(a, -1 + y, 1 + x), -1, 1);
    expect_near(sampled(a, 1 + y, -1 + x), 1, -1);
    expect_near(sampled(a, 1 - y, 1 - x), 1, 1);
}

TEST(augment_test, zoom_keeps_its_centre_and_flip_mirrors_it) {
    augmentation a;
    a.zoom = 1.1;
    a.zoom_x = 0.8;
    a.zoom_y = 0.3;
    expect_near(sampled(a, 0.6, -0.4), 0.6, -0.4);
    expect_near(sampled(a, 0.6 + 0.11, -0.4), 0.6 + 0.1, -0.4);
    a.flip = true;
    expect_near(sampled(a, 0.6, -0.4), -0.6, -0.4);
}

TEST(augment_test, photographs_are_cut_as_460_is_to_224) {
    EXPECT_EQ(presized(224), 460);
    EXPECT_EQ(presized(128), 263);
    EXPECT_EQ(presized(32), 66);
}

} // namespace
} // namespace petnet::data
