// SPDX-License-Identifier: Apache-2.0
#include "bench/statistics.hpp"

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <numeric>
#include <stdexcept>

namespace petnet::bench {
namespace {

// Twice the rank of each sample (so that the mean ranks of ties are whole), a's before b's.
std::vector<std::int64_t> doubled_ranks(std::span<const double> a, std::span<const double> b) {
    std::vector<double> all(a.begin(), a.end());
    all.insert(all.end(), b.begin(), b.end());
    std::vector<double> sorted = all;
    std::ranges::sort(sorted);
    std::vector<std::int64_t> ranks;
    ranks.reserve(all.size());
    for (const double value : all) {
        const auto [first, last] = std::equal_range(sorted.begin(), sorted.end(), value);
        ranks.push_back((first - sorted.begin()) + (last - sorted.begin()) + 1);
    }
    return ranks;
}

// The probability that `chosen` of the ranks, dealt out at random, sum up at least as far from their mean as
// `sum` does.
double exact_p(const std::vector<std::int64_t>& ranks, std::size_t chosen, std::int64_t sum) {
    const std::int64_t total = std::accumulate(ranks.begin(), ranks.end(), std::int64_t{0});
    const auto sums = static_cast<std::size_t>(total) + 1;
    // ways[k][s]: in how many ways k of the ranks seen so far sum up to s; in double, as there may be 1e18.
    std::vector<std::vector<double>> ways(chosen + 1, std::vector<double>(sums));
    ways[0][0] = 1;
    for (const std::int64_t rank : ranks)
        for (std::size_t k = chosen; k > 0; --k)
            for (std::size_t s = sums; s-- > static_cast<std::size_t>(rank);)
                ways[k][s] += ways[k - 1][s - static_cast<std::size_t>(rank)];
    // Distances from the mean, times the number of ranks, so that they are whole.
    const auto count = static_cast<std::int64_t>(ranks.size());
    const auto distance = [&](std::int64_t s) {
        return std::abs(s * count - total * static_cast<std::int64_t>(chosen));
    };
    double all = 0, as_far = 0;
    for (std::size_t s = 0; s < sums; ++s) {
        all += ways[chosen][s];
        if (distance(static_cast<std::int64_t>(s)) >= distance(sum)) as_far += ways[chosen][s];
    }
    return as_far / all;
}

double normal_p(const std::vector<std::int64_t>& ranks, std::size_t chosen, std::int64_t sum) {
    const auto n = static_cast<double>(ranks.size()), m = static_cast<double>(chosen);
    double squares = 0; // of the ranks' distances from their mean: less where there are ties
    for (const std::int64_t rank : ranks) {
        const double distance = static_cast<double>(rank) - (n + 1);
        squares += distance * distance;
    }
    const double variance = m * (n - m) / (n * (n - 1)) * squares;
    if (variance <= 0) return 1;
    const double z = std::abs(static_cast<double>(sum) - m * (n + 1)) / std::sqrt(variance);
    return std::erfc(z / std::sqrt(2.0));
}

} // namespace

double quantile(std::vector<double> samples, double fraction) {
    if (samples.empty()) throw std::logic_error("nothing was measured");
    std::ranges::sort(samples);
    const double place = fraction * static_cast<double>(samples.size() - 1);
    const auto below = static_cast<std::size_t>(place);
    const std::size_t above = std::min(below + 1, samples.size() - 1);
    return std::lerp(samples[below], samples[above], place - std::floor(place));
}

summary summarise(const std::vector<double>& samples) {
    return {quantile(samples, 0.5), quantile(samples, 0.25), quantile(samples, 0.75)};
}

double rank_test(std::span<const double> a, std::span<const double> b) {
    if (a.empty() || b.empty()) return 1;
    constexpr std::size_t most_for_exact = 64;
    const std::vector<std::int64_t> ranks = doubled_ranks(a, b);
    const std::int64_t sum = std::accumulate(
        ranks.begin(), ranks.begin() + static_cast<std::ptrdiff_t>(a.size()), std::int64_t{0});
    return ranks.size() <= most_for_exact ? exact_p(ranks, a.size(), sum) : normal_p(ranks, a.size(), sum);
}

} // namespace petnet::bench
