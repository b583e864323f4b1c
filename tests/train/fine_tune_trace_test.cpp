// SPDX-License-Identifier: Apache-2.0
// A whole fine_tune(1) against the record of fastai's own Learner (golden/README.md): six steps with losses,
// gradient norms, learning rates and momentum, then every parameter and running statistic, and the logits of
// the validation set.
//
// Limits. float32: three times the largest departure of PyTorch itself over its memory formats, thread counts
// and instruction sets (docs/numerics.md has the table; trace_spread.py repeats it). golden/README.md's
// smaller figures are from one such configuration: Adam's first steps turn rounding noise in small gradients
// into full steps. float64: nothing is left but the rounding of what was recorded in float32.
#include "kernels/backend.hpp"
#include "model/parameters.hpp"
#include "model/plan.hpp"
#include "model/weights/weight_file.hpp"
#include "tests/support/golden.hpp"
#include "tests/support/long_run.hpp"
#include "train/metrics.hpp"
#include "train/schedule.hpp"

#include "base/random.hpp"

#include <array>
#include <cmath>
#include <fmt/format.h>
#include <fstream>
#include <gtest/gtest.h>
#include <iostream>
#include <map>
#include <nlohmann/json.hpp>

using namespace petnet;

namespace {

struct limits {
    double frozen_loss, loss, frozen_norm, norm, frozen_tensor_norm, tensor_norm, parameter_l2, moved_l2,
        statistics, logits, train_loss;
};
constexpr limits float32_limits{2e-4, 5e-2, 1.6e-3, 4.5e-2, 1.5e-2, 1.7e-1, 1.1e-4, 5e-2, 2e-2, 2.5e-2, 5e-2};
// Three times the largest departure of the backends that there are: docs/numerics.md.
constexpr limits bf16_limits{0.45, 1.6, 0.36, 1.8, 0.93, 2.4, 1.6e-3, 0.42, 1e-2, 0.36, 0.42};
constexpr limits f16_limits{3.6e-2, 0.4, 5.7e-2, 0.63, 0.26, 0.96, 2.3e-3, 0.27, 1.4e-3, 6e-2, 5e-2};
constexpr limits float64_limits{1e-9, 1e-9, 1e-9, 1e-9, 1e-8, 1e-8, 1e-9, 1e-7, 1e-8, 1e-6, 2e-6};

// golden/README.md, "Formula weights".
std::vector<double> formula(const std::string& name, const kernels::shape& dims, const std::string& tag) {
    const std::uint64_t seed = fnv1a_64(name + tag);
    std::vector<double> values(static_cast<std::size_t>(dims.elements()));
    const double scale =
        std::sqrt(6.0 / (static_cast<double>(dims.elements()) / static_cast<double>(dims[0])));
    for (std::size_t i = 0; i < values.size(); ++i) {
        const std::uint64_t z = splitmix64_finalise(seed + (i + 1) * 0x9E3779B97F4A7C15ULL);
        const double u = static_cast<double>(z >> 40) / 16777216.0 * 2 - 1;
        double value = 0;
        if (name.ends_with("running_mean"))
            value = 0;
        else if (name.ends_with("running_var"))
            value = 1;
        else if (dims.rank() > 1)
            value = u * scale;
        else
            value = name.ends_with("weight") ? 1 + 0.1 * u : 0.1 * u;
        values[i] = static_cast<double>(static_cast<float>(value));
    }
    return values;
}

double l2(const std::vector<double>& values) {
    double sum = 0;
    for (const double v : values) sum += v * v;
    return std::sqrt(sum);
}

class trace {
  public:
    static constexpr std::ptrdiff_t first_unfrozen = 3; // of six steps

    trace(const std::string& backend_name, const limits& allowed,
          kernels::dtype activations = kernels::dtype::f32,
          kernels::fusion fuse = kernels::fusion::when_faster)
        : record_(nlohmann::json::parse(std::ifstream(petnet::testing::golden_dir() / "fine_tune.json"))),
          inputs_(model::read_weight_file(petnet::testing::golden_dir() / "fine_tune.safetensors")),
          allowed_(allowed),
          activations_(activations),
          device_(kernels::make_backend(backend_name, {.fuse = fuse})) {
        model::network_config config;
        config.classes = record_.at("classes");
        config.head_dropout_1 = config.head_dropout_2 = 0;
        network_ = model::make_resnet(config);
        parameters_ = std::make_unique<model::parameters>(*device_, network_, activations);
        const std::string tag = record_.at("weights_tag");
        for (const auto& p : parameters_->trained()) fill(p.name, p.value, tag);
        for (const auto& s : parameters_->statistics()) fill(s.name, s.value, tag);
        // A step that is skipped, as the first ones may be until the loss scale is low enough for the data's
        // gradients, cannot be compared: begin with a scale at which weight gradients of up to 16 are finite
        // in 16 bits.
        if (parameters_->loss_scale().present())
            device_->write(parameters_->loss_scale(),
                           std::span<const float>(std::array{4096.0F, 0.0F, 0.0F, 0.0F}));
    }

    // All of it, or only its first steps, with nothing after them.
    void run(std::ptrdiff_t last_step = std::numeric_limits<std::ptrdiff_t>::max()) {
        check_groups();
        const std::int64_t batch = record_.at("batch_size");
        const auto batches = static_cast<std::int64_t>(inputs_.find("train_x")->shape[0]) / batch;
        std::ptrdiff_t step = 0;
        std::size_t epoch = 0;
        for (const train::training_phase& phase : train::fine_tune_phases(1, 2e-3, 1)) {
            const bool frozen = phase.kind == model::phase::frozen;
            model::plan plan(*parameters_, network_, plan_options(phase.kind, batch));
            const kernels::device_memory memory = device_->allocate(plan.memory_bytes());
            plan.bind(memory.get());
            fused_ += std::ranges::count_if(plan.nodes(),
                                            [](const auto& node) { return node.prepared == nullptr; });
            through_norms_ += std::ranges::count_if(
                plan.nodes(), [](const auto& node) { return kernels::convolves_through_norm(node.params); });
            parameters_->clear_moments();
            train::smoothed_loss smoothed;
            for (std::int64_t b = 0; b < batches; ++b, ++step) {
                const train::hyperparameters h = phase.at(b, batches);
                const auto settings = train::adam_settings(h, b + 1);
                device_->write(plan.settings(), std::span<const double>(settings));
                feed(plan, "train", b * batch, batch);
                plan.execute();
                smoothed.add(loss_of(plan));
                check_step(static_cast<std::size_t>(step), plan, h, frozen);
                if (step == first_unfrozen) after_first_unfrozen_ = parameters();
                if (step == last_step) return;
            }
            const auto& expected = record_.at("epochs_train_valid_error").at(epoch++);
            expect_near("train_loss", smoothed.value(), expected.at(0), allowed_.train_loss);
        }
        EXPECT_EQ(step, std::ssize(record_.at("steps")));
        check_parameters();
        check_validation();
        std::string departures; // for docs/numerics.md
        for (const auto& [what, largest] : largest_)
            departures += fmt::format("{}{} {:.1e}", departures.empty() ? "" : ", ", what, largest);
        std::cout << "largest relative departures: " << departures << '\n';
    }

    [[nodiscard]] std::string device() const { return device_->device(); }
    // Operations that were done as one with the one before, in the plans of all phases.
    [[nodiscard]] std::ptrdiff_t fused() const { return fused_; }
    // Convolutions and gradients of their weights that read through a batch norm, in the same plans.
    [[nodiscard]] std::ptrdiff_t through_norms() const { return through_norms_; }
    // Every trained parameter, in order: at the end, and after the first step that trains them all.
    [[nodiscard]] const std::vector<double>& after_first_unfrozen() const { return after_first_unfrozen_; }
    [[nodiscard]] std::vector<double> parameters() const {
        std::vector<double> all;
        for (const auto& p : parameters_->trained()) {
            const auto values = values_of(p.value);
            all.insert(all.end(), values.begin(), values.end());
        }
        return all;
    }

  private:
    // Relative to `scale`, or else to the expected value.
    void expect_near(const std::string& what, double actual, double expected, double allowed,
                     const std::string& name = "", double scale = 0) {
        const double departure = std::abs(actual - expected) / (scale != 0 ? scale : std::abs(expected));
        double& largest = largest_[what];
        largest = std::max(largest, departure);
        EXPECT_LE(departure, allowed) << what << ' ' << name << ": " << actual << ", not " << expected;
    }

    void fill(const std::string& name, const kernels::tensor_view& view, const std::string& tag) {
        const auto values = formula(name, view.desc.dims, tag);
        device_->write(view, std::span<const double>(values));
    }

    model::plan_options plan_options(model::phase kind, std::int64_t batch) const {
        return {.kind = kind,
                .batch = batch,
                .height = record_.at("height"),
                .width = record_.at("width"),
                .activations = activations_,
                .from_pixels = false};
    }

    void feed(model::plan& plan, const std::string& set, std::int64_t first, std::int64_t count) {
        const auto x = inputs_.find(set + "_x")->to_float64();
        const auto y = inputs_.find(set + "_y")->to_float64();
        const auto image = static_cast<std::size_t>(plan.image().desc.dims.elements() / count);
        device_->write(plan.image(), std::span(x).subspan(static_cast<std::size_t>(first) * image,
                                                          static_cast<std::size_t>(count) * image));
        std::vector<std::int32_t> target;
        for (std::int64_t i = 0; i < count; ++i)
            target.push_back(static_cast<std::int32_t>(y[static_cast<std::size_t>(first + i)]));
        device_->write_bytes(plan.target(), std::as_bytes(std::span(target)));
    }

    std::vector<double> values_of(const kernels::tensor_view& view) const {
        std::vector<double> values(static_cast<std::size_t>(view.desc.dims.elements()));
        device_->read(view, std::span<double>(values));
        return values;
    }
    double loss_of(const model::plan& plan) const { return values_of(plan.loss())[0]; }

    // The groups and what decays in them, as fastai split them.
    void check_groups() const {
        const auto& groups = record_.at("param_groups");
        std::size_t count = 0;
        for (std::size_t g = 0; g < groups.size(); ++g)
            for (std::size_t i = 0; i < groups[g].size(); ++i, ++count) {
                const model::parameter& p = parameters_->find(groups[g][i].get<std::string>());
                EXPECT_EQ(p.group, g) << p.name;
                EXPECT_EQ(p.decays(), record_.at("weight_decay_applies")[g][i].get<bool>()) << p.name;
            }
        EXPECT_EQ(count, parameters_->trained().size());
    }

    void check_step(std::size_t index, const model::plan& plan, const train::hyperparameters& h,
                    bool frozen) {
        const auto& expected = record_.at("steps").at(index);
        SCOPED_TRACE("step " + std::to_string(index));
        EXPECT_EQ(expected.at("phase"), model::name_of(plan.options().kind));
        for (std::size_t g = 0; g < h.lr.size(); ++g) {
            EXPECT_NEAR(h.lr[g], expected.at("groups")[g].at("lr"), 1e-9);
            EXPECT_NEAR(h.mom, expected.at("groups")[g].at("mom"), 1e-9);
        }
        // Before the first update nothing has been magnified yet.
        const std::string phase = index == 0 ? "first " : frozen ? "frozen " : "unfrozen ";
        expect_near(phase + "loss", loss_of(plan), expected.at("loss"),
                    frozen ? allowed_.frozen_loss : allowed_.loss);
        const double unscaled =
            parameters_->loss_scale().present() ? values_of(parameters_->loss_scale())[1] : 1;
        ASSERT_NE(unscaled, 0) << "a skipped step";
        double sum = 0;
        for (const auto& [name, norm] : expected.at("grad_l2").items()) {
            const double actual = unscaled * l2(values_of(plan.gradient(name)));
            sum += actual * actual;
            expect_near(phase + "tensor norm", actual, norm,
                        frozen ? allowed_.frozen_tensor_norm : allowed_.tensor_norm, name);
        }
        expect_near(phase + "norm", std::sqrt(sum), expected.at("grad_norm"),
                    frozen ? allowed_.frozen_norm : allowed_.norm);
    }

    void check_parameters() {
        const std::string tag = record_.at("weights_tag");
        for (const auto& [name, expected] : record_.at("params_after").items()) {
            const kernels::tensor_view& view = parameters_->find(name).value;
            std::vector<double> values = values_of(view);
            expect_near("parameter l2", l2(values), expected.at("l2"), allowed_.parameter_l2, name);
            const auto start = formula(name, view.desc.dims, tag);
            for (std::size_t i = 0; i < values.size(); ++i) values[i] -= start[i];
            expect_near("moved l2", l2(values), expected.at("moved_l2"), allowed_.moved_l2, name);
        }
        for (const auto& [name, expected] : record_.at("buffers_after").items()) {
            const auto values = values_of(parameters_->statistic(name));
            double sum = 0, magnitude = 0;
            for (const double v : values) {
                sum += v;
                magnitude += std::abs(v);
            }
            expect_near("statistics", sum, expected.at("sum"), allowed_.statistics, name, magnitude);
        }
    }

    void check_validation() {
        const auto count = static_cast<std::int64_t>(inputs_.find("valid_x")->shape[0]);
        model::plan plan(*parameters_, network_, plan_options(model::phase::evaluation, count));
        const kernels::device_memory memory = device_->allocate(plan.memory_bytes());
        plan.bind(memory.get());
        feed(plan, "valid", 0, count);
        plan.execute();
        const auto logits = values_of(plan.logits());
        const auto expected = inputs_.find("valid_logits_after")->to_float64();
        ASSERT_EQ(logits.size(), expected.size());
        double largest = 0;
        for (const double v : expected) largest = std::max(largest, std::abs(v));
        for (std::size_t i = 0; i < logits.size(); ++i)
            expect_near("logits", logits[i], expected[i], allowed_.logits, std::to_string(i), largest);

        const auto& epoch = record_.at("epochs_train_valid_error").back();
        expect_near("valid_loss", loss_of(plan), epoch.at(1), allowed_.logits);
        std::vector<std::int32_t> predictions(static_cast<std::size_t>(count));
        device_->read_bytes(plan.predictions(), std::as_writable_bytes(std::span(predictions)));
        const auto target = inputs_.find("valid_y")->to_float64();
        double wrong = 0;
        for (std::size_t i = 0; i < predictions.size(); ++i)
            wrong += predictions[i] != static_cast<std::int32_t>(target[i]);
        EXPECT_NEAR(wrong / static_cast<double>(count), epoch.at(2).get<double>(), 1e-6);
    }

    nlohmann::json record_;
    model::weight_file inputs_;
    limits allowed_;
    kernels::dtype activations_;
    std::map<std::string, double> largest_;
    std::ptrdiff_t fused_ = 0, through_norms_ = 0;
    std::vector<double> after_first_unfrozen_;
    std::unique_ptr<kernels::backend> device_;
    model::network network_;
    std::unique_ptr<model::parameters> parameters_;
};

} // namespace

TEST(fine_tune_trace, golden_reference) {
    if (!petnet::testing::long_run()) GTEST_SKIP() << petnet::testing::left_for_long_run; // less than double
    trace("reference", float32_limits).run();
}
TEST(fine_tune_trace, golden_reference_double) { trace("reference-double", float64_limits).run(); }

struct traced_device {
    std::string backend;
    kernels::dtype activations;
    friend void PrintTo(const traced_device& device, std::ostream* to) {
        *to << device.backend << ' ' << kernels::name_of(device.activations);
    }
};
class fine_tune_trace_on : public ::testing::TestWithParam<traced_device> {};
TEST_P(fine_tune_trace_on, golden) {
    const auto& [name, activations] = GetParam();
    for (const kernels::backend_status& status : kernels::list_backends())
        if (status.name == name && !status.available) GTEST_SKIP() << status.text;
    const std::unique_ptr<kernels::backend> device = kernels::make_backend(name);
    if (!device->supports(activations))
        GTEST_SKIP() << name << " has no native " << kernels::name_of(activations);
    // The quick tests have the plain loops in double and float16, and the emulated device in float16, fused,
    // and as whole steps beside the plain loops in every format (check_cuda_host_test.cpp).
    const bool emulated = device->device().find("plain loops") != std::string::npos && name == "cuda";
    if ((emulated || (name == "reference" && activations == kernels::dtype::bf16)) &&
        !petnet::testing::long_run())
        GTEST_SKIP() << petnet::testing::left_for_long_run;
    trace(name,
          activations == kernels::dtype::f32    ? float32_limits
          : activations == kernels::dtype::bf16 ? bf16_limits
                                                : f16_limits,
          activations)
        .run();
}

// Every convolution with its batch norm, and the inner convolution of every block with its data gradient's,
// as one; every block's second convolution and its weight gradient through the inner batch norm.
TEST(fine_tune_trace, golden_cuda_f16_fused) {
    for (const kernels::backend_status& status : kernels::list_backends())
        if (status.name == "cuda" && !status.available) GTEST_SKIP() << status.text;
    std::vector<double> first, first_midway;
    bool emulated = false;
    for (int run = 0; run < 2; ++run) {
        trace traced("cuda", f16_limits, kernels::dtype::f16, kernels::fusion::always);
        // The second run has every pair in it after its first unfrozen step; the rest takes the emulation
        // long.
        const bool whole = run == 0 || !emulated || petnet::testing::long_run();
        if (whole)
            traced.run();
        else
            traced.run(trace::first_unfrozen);
        if (traced.fused() == 0) GTEST_SKIP() << "cuDNN has no fused convolutions on this device";
        constexpr std::ptrdiff_t all_of_both_phases = 2 * (36 + 16), all_through_norms = 16 + 2 * 16;
        std::cout << "pairs: " << traced.fused() << " of " << all_of_both_phases
                  << ", through batch norms: " << traced.through_norms() << " of " << all_through_norms
                  << '\n';
        EXPECT_GT(traced.through_norms(), 0);
        // cuDNN has none for the stem, and one that gives other results is left out.
        emulated = traced.device().find("plain loops") != std::string::npos;
        if (emulated) {
            EXPECT_EQ(traced.fused(), all_of_both_phases);
            EXPECT_EQ(traced.through_norms(), all_through_norms);
        }
        if (run == 0) first = traced.parameters(), first_midway = traced.after_first_unfrozen();
        EXPECT_TRUE(traced.after_first_unfrozen() == first_midway) << "other bits after an unfrozen step";
        if (whole) {
            EXPECT_TRUE(traced.parameters() == first) << "other bits in the end";
        }
    }
}
INSTANTIATE_TEST_SUITE_P(devices, fine_tune_trace_on,
                         ::testing::Values(traced_device{"cpu", kernels::dtype::f32},
                                           traced_device{"cpu", kernels::dtype::bf16},
                                           traced_device{"reference", kernels::dtype::bf16},
                                           traced_device{"reference", kernels::dtype::f16},
                                           traced_device{"cuda", kernels::dtype::f32},
                                           traced_device{"cuda", kernels::dtype::bf16},
                                           traced_device{"cuda", kernels::dtype::f16}),
                         [](const auto& tested) {
                             return tested.param.backend + "_" + kernels::name_of(tested.param.activations);
                         });
