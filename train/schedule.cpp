// SPDX-License-Identifier: Apache-2.0
#include "train/schedule.hpp"

#include <cmath>
#include <numbers>

namespace petnet::train {
namespace {

constexpr double final_div = 1e5;
constexpr double high_momentum = 0.95, low_momentum = 0.85;

double cosine(double from, double to, double position) {
    return from + (1 + std::cos(std::numbers::pi * (1 - position))) * (to - from) / 2;
}

// Discriminative rates: equal ratios from the first group to the last (fastai's even_mults).
std::array<double, model::parameter_groups> even_multiples(double first, double last) {
    std::array<double, model::parameter_groups> result{};
    for (std::size_t g = 0; g < result.size(); ++g)
        result[g] =
            first * std::pow(last / first, static_cast<double>(g) / static_cast<double>(result.size() - 1));
    return result;
}

} // namespace

hyperparameters training_phase::at(std::int64_t done, std::int64_t total) const {
    // fastai keeps the phases' bounds, and so the place within a phase, in float32 tensors.
    const auto position = static_cast<float>(static_cast<double>(done) / static_cast<double>(total));
    const auto bound = static_cast<float>(warmup), end = bound + static_cast<float>(1 - warmup);
    const bool rising = position < bound;
    const auto within = static_cast<double>(rising ? position / bound : (position - bound) / (end - bound));
    hyperparameters h;
    for (std::size_t g = 0; g < lr_max.size(); ++g)
        h.lr[g] = rising ? cosine(lr_max[g] / div, lr_max[g], within)
                         : cosine(lr_max[g], lr_max[g] / final_div, within);
    h.mom =
        rising ? cosine(high_momentum, low_momentum, within) : cosine(low_momentum, high_momentum, within);
    return h;
}

std::vector<training_phase> fine_tune_phases(std::int64_t epochs, double base_lr,
                                             std::int64_t freeze_epochs) {
    std::vector<training_phase> phases;
    // A frozen fit gets slice(base_lr): base_lr for the last group, a tenth of it for the others.
    if (freeze_epochs > 0)
        phases.push_back(
            {model::phase::frozen, freeze_epochs, {base_lr / 10, base_lr / 10, base_lr}, 0.99, 25});
    const double unfrozen_lr = base_lr / 2;
    if (epochs > 0)
        phases.push_back(
            {model::phase::unfrozen, epochs, even_multiples(unfrozen_lr / 100, unfrozen_lr), 0.3, 5});
    return phases;
}

std::vector<double> adam_settings(const hyperparameters& h, std::int64_t step) {
    std::vector<double> rows;
    for (const double lr : h.lr) rows.insert(rows.end(), {lr, h.mom, static_cast<double>(step)});
    return rows;
}

} // namespace petnet::train
