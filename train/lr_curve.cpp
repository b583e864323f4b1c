// SPDX-License-Identifier: Apache-2.0
#include "train/lr_curve.hpp"

#include <algorithm>
#include <cmath>

namespace petnet::train {
namespace {

constexpr double first_lr = 1e-7, last_lr = 10;
constexpr std::size_t left_out_first = lr_search_steps / 10, left_out_last = 5;

} // namespace

double lr_of_search(std::int64_t step) {
    return first_lr *
           std::pow(last_lr / first_lr, static_cast<double>(step) / static_cast<double>(lr_search_steps));
}

void lr_curve::add(double lr, double step_loss) {
    smoothed_.add(step_loss);
    points_.push_back({lr, smoothed_.value()});
    if (points_.back().loss < least_) least_ = points_.back().loss;
}

std::optional<lr_point> suggested_lr(std::span<const lr_point> points) {
    if (points.size() <= left_out_first + left_out_last) return {};
    std::span<const lr_point> kept =
        points.subspan(left_out_first, points.size() - left_out_first - left_out_last);
    const auto broken = std::ranges::find_if(kept, [](const lr_point& p) { return std::isnan(p.loss); });
    kept = kept.first(static_cast<std::size_t>(broken - kept.begin()));
    if (kept.empty()) return {};
    return kept[valley(kept)];
}

std::size_t valley(std::span<const lr_point> points) {
    std::vector<std::ptrdiff_t> length(points.size(), 1); // of the longest falling sequence that ends here
    std::size_t end = 0;
    for (std::size_t i = 1; i < points.size(); ++i) {
        for (std::size_t j = 0; j < i; ++j)
            if (points[i].loss < points[j].loss) length[i] = std::max(length[i], length[j] + 1);
        if (length[i] > length[end]) end = i;
    }
    if (end == 0) return 0;
    const std::ptrdiff_t index =
        static_cast<std::ptrdiff_t>(end) - length[end] + length[end] / 3 + length[end] / 6;
    return index < 0 ? points.size() - 1 : static_cast<std::size_t>(index);
}

} // namespace petnet::train
