// SPDX-License-Identifier: Apache-2.0
// The curve that a search for a learning rate records, and the rate that it suggests (fastai 2.8: LRFinder,
// Learner.lr_find and valley, at their defaults).
#pragma once

#include "train/metrics.hpp"

#include <cstddef>
#include <cstdint>
#include <limits>
#include <optional>
#include <span>
#include <vector>

namespace petnet::train {

inline constexpr std::int64_t lr_search_steps = 100;

// The rate of a step, from 0: exponential from 1e-7 to 10, which would be the step after the last.
[[nodiscard]] double lr_of_search(std::int64_t step);

struct lr_point {
    double lr = 0;
    double loss = 0; // smoothed, as fastai's train_loss; not a number once a step's was not
};

class lr_curve {
  public:
    void add(double lr, double step_loss);

    [[nodiscard]] const std::vector<lr_point>& points() const { return points_; }
    // The smoothed loss is above four times its least: nothing more is learnt from higher rates.
    [[nodiscard]] bool diverged() const { return !points_.empty() && points_.back().loss > 4 * least_; }
    [[nodiscard]] bool complete() const { return diverged() || std::ssize(points_) >= lr_search_steps; }

  private:
    std::vector<lr_point> points_;
    smoothed_loss smoothed_;
    double least_ = std::numeric_limits<double>::infinity();
};

// The valley of the points without the first ten, the last five, and all from the first whose loss is not a
// number. Nothing where no point is left.
[[nodiscard]] std::optional<lr_point> suggested_lr(std::span<const lr_point> points);

// The index halfway into the longest valley: the longest sequence of ever smaller losses, neighbours or not,
// that ends first, taken as if it were of neighbours. `points` is not empty. Where nothing falls but the
// second loss below the first, that is the last index, as fastai's -1.
[[nodiscard]] std::size_t valley(std::span<const lr_point> points);

} // namespace petnet::train
