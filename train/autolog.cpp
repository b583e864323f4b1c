// SPDX-License-Identifier: Apache-2.0
#include "train/autolog.hpp"

#include "kernels/ops.hpp"
#include "report/svg_chart.hpp"
#include "train/python_text.hpp"

#include <algorithm>
#include <array>
#include <string>

namespace petnet::train {
namespace {

// Autologging reads a schedule at k/100 for k < 100: its "final" is the last of these, not the last step's.
constexpr std::int64_t samples = 100;

std::vector<hyperparameters> sampled(const training_phase& phase) {
    std::vector<hyperparameters> values;
    for (std::int64_t k = 0; k < samples; ++k) values.push_back(phase.at(k, samples));
    return values;
}

std::string prefix(const training_phase& phase) {
    return phase.kind == model::phase::frozen ? "freeze_" : "";
}

void add_schedule(std::vector<tracking::entry>& entries, const training_phase& phase) {
    const std::vector<hyperparameters> values = sampled(phase);
    hyperparameters least = values[0], most = values[0];
    for (const hyperparameters& each : values) {
        for (std::size_t g = 0; g < each.lr.size(); ++g) {
            least.lr[g] = std::min(least.lr[g], each.lr[g]);
            most.lr[g] = std::max(most.lr[g], each.lr[g]);
        }
        least.mom = std::min(least.mom, each.mom);
        most.mom = std::max(most.mom, each.mom);
    }
    const std::string p = prefix(phase);
    for (const auto& [name, value] : {std::pair<const char*, const hyperparameters&>{"_min", least},
                                      {"_max", most},
                                      {"_init", values.front()},
                                      {"_final", values.back()}}) {
        entries.push_back({p + "lr" + name, numpy_text(value.lr)});
        entries.push_back({p + "mom" + name, python_repr(value.mom)});
    }
    const auto of_every_group = [](double value) {
        std::array<double, model::parameter_groups> all{};
        all.fill(value);
        return python_list(all);
    };
    const kernels::adam_step adam;
    entries.push_back({p + "opt_func", "Adam"});
    entries.push_back({p + "wd", of_every_group(adam.weight_decay)});
    entries.push_back({p + "sqr_mom", of_every_group(adam.beta2)});
    entries.push_back({p + "eps", of_every_group(adam.epsilon)});
}

} // namespace

std::vector<tracking::entry> autolog_parameters(const train_options& options,
                                                const std::vector<training_phase>& phases) {
    const std::string size = std::to_string(options.size);
    std::vector<tracking::entry> entries{
        {"epochs", std::to_string(options.epochs)},
        {"base_lr", python_repr(options.lr)},
        {"freeze_epochs", std::to_string(options.freeze_epochs)},
        {"lr_mult", "100"}, // fine_tune's other arguments are at their defaults, as petnet has them built in
        {"pct_start", "0.3"},
        {"div", "5.0"},
        {"div_final", "100000.0"},
        {"moms", "None"},
        {"reset_opt", "False"},
        {"start_epoch", "0"},
        {"input_size", "['" + std::to_string(options.batch_size) + " x 3 x " + size + " x " + size + "']"},
        {"num_layers", "100"}, // ResNet-34's modules without modules of their own, as PyTorch has them
    };
    for (const training_phase& phase : phases) {
        if (phase.kind == model::phase::frozen) entries.push_back({"frozen_idx", "2"});
        add_schedule(entries, phase);
    }
    const std::vector<tracking::entry> own{{"batch_size", std::to_string(options.batch_size)},
                                           {"size", size},
                                           {"recipe", options.recipe},
                                           {"labels", options.labels},
                                           {"seed", std::to_string(options.seed)}};
    entries.insert(entries.end(), own.begin(), own.end());
    return entries;
}

std::vector<tracking::artifact> schedule_charts(const std::vector<training_phase>& phases) {
    std::vector<tracking::artifact> charts;
    for (const training_phase& phase : phases) {
        report::line_chart lr{.title = prefix(phase) + "lr",
                              .x = {.label = "part of the phase, %"},
                              .y = {.label = "learning rate"}};
        report::line_chart mom{.title = prefix(phase) + "mom", .x = lr.x, .y = {.label = "momentum"}};
        lr.series = {{.name = "early layers"}, {.name = "late layers"}, {.name = "head"}};
        mom.series = {{.name = "momentum"}};
        double x = 0;
        for (const hyperparameters& each : sampled(phase)) {
            for (std::size_t g = 0; g < each.lr.size(); ++g) lr.series[g].points.push_back({x, each.lr[g]});
            mom.series[0].points.push_back({x++, each.mom});
        }
        charts.push_back({.name = lr.title + ".svg", .text = svg_of(lr)});
        charts.push_back({.name = mom.title + ".svg", .text = svg_of(mom)});
    }
    return charts;
}

} // namespace petnet::train
