// SPDX-License-Identifier: Apache-2.0
// What the plans of the phases contain, and the gradients of a whole small network.
#include "model/plan.hpp"

#include "base/random.hpp"
#include "tests/support/fill.hpp"

#include <algorithm>
#include <cmath>
#include <gtest/gtest.h>
#include <memory>
#include <numeric>
#include <variant>

using namespace petnet;

namespace {

template <class operation> std::ptrdiff_t count(const model::plan& plan) {
    return std::ranges::count_if(
        plan.nodes(), [](const auto& node) { return std::holds_alternative<operation>(node.params); });
}

class resnet34_plans : public ::testing::Test {
  protected:
    std::unique_ptr<kernels::backend> device_ = kernels::make_backend("reference");
    model::network network_ = model::make_resnet({});
    model::parameters parameters_{*device_, network_, kernels::dtype::f32};
    model::plan make(model::phase kind, std::int64_t batch = 8) {
        return {parameters_, network_, {.kind = kind, .batch = batch, .height = 64, .width = 64}};
    }
};

TEST_F(resnet34_plans, do_what_the_phase_needs_and_no_more) {
    const model::plan frozen = make(model::phase::frozen), unfrozen = make(model::phase::unfrozen),
                      evaluation = make(model::phase::evaluation);
    EXPECT_EQ(count<kernels::convolution_forward>(frozen), 36);
    EXPECT_EQ(count<kernels::convolution_forward>(unfrozen), 36);
    EXPECT_EQ(count<kernels::convolution_forward>(evaluation), 36);
    EXPECT_EQ(count<kernels::convolution_backward_weights>(frozen), 0);
    EXPECT_EQ(count<kernels::convolution_backward_weights>(unfrozen), 36);
    // The gradient flows through the whole body, but nothing needs the photograph's.
    EXPECT_EQ(count<kernels::convolution_backward_data>(frozen), 35);
    EXPECT_EQ(count<kernels::convolution_backward_data>(unfrozen), 35);
    EXPECT_EQ(count<kernels::batch_norm_backward>(frozen), 38);
    EXPECT_EQ(count<kernels::dropout>(unfrozen), 4);
    EXPECT_EQ(count<kernels::adam_step>(frozen), 1);
    for (const model::plan* each : {&frozen, &unfrozen}) {
        EXPECT_EQ(count<kernels::batch_norm_inference>(*each), 0);
        EXPECT_EQ(count<kernels::softmax_cross_entropy>(*each), 1);
    }
    EXPECT_EQ(count<kernels::batch_norm_inference>(evaluation), 38);
    EXPECT_EQ(count<kernels::dropout>(evaluation) + count<kernels::adam_step>(evaluation) +
                  count<kernels::batch_norm_backward>(evaluation),
              0);
}

TEST_F(resnet34_plans, sample_larger_photographs_by_transforms_in_training_only) {
    for (const model::phase kind : {model::phase::frozen, model::phase::unfrozen, model::phase::evaluation}) {
        const model::plan plan(parameters_, network_,
                               {.kind = kind, .batch = 8, .height = 64, .width = 64, .photo_size = 131});
        EXPECT_EQ(count<kernels::photo_to_tensor>(plan), 0);
        EXPECT_EQ(count<kernels::sampled_photo_to_tensor>(plan), 1);
        EXPECT_EQ(plan.pixels().desc.dims, (kernels::shape{8, 131, 131, 3}));
        EXPECT_EQ(plan.transforms().present(), kind != model::phase::evaluation);
    }
    EXPECT_EQ(count<kernels::photo_to_tensor>(make(model::phase::frozen)), 1);
}

TEST_F(resnet34_plans, update_what_the_phase_trains) {
    const auto updated = [](const model::plan& plan) {
        const auto& step = std::get<kernels::adam_step>(plan.nodes().back().params);
        return step.parameters.size();
    };
    EXPECT_EQ(updated(make(model::phase::unfrozen)), parameters_.trained().size());
    EXPECT_EQ(updated(make(model::phase::frozen)), parameters_.trained().size() - 36);
}

TEST_F(resnet34_plans, take_less_memory_the_less_they_train) {
    const std::size_t frozen = make(model::phase::frozen).memory_bytes(),
                      unfrozen = make(model::phase::unfrozen).memory_bytes(),
                      evaluation = make(model::phase::evaluation).memory_bytes();
    EXPECT_LT(frozen, unfrozen);
    EXPECT_LT(2 * evaluation, frozen);
    EXPECT_LT(make(model::phase::frozen, 4).memory_bytes(), frozen);
    EXPECT_EQ(make(model::phase::frozen).memory_bytes(), frozen);
}

// Two stages with both kinds of blocks, all in double, with dropout whose draws are fixed by the row keys.
class small_network : public ::testing::TestWithParam<model::phase> {
  protected:
    small_network() {
        for (const model::parameter& p : parameters_.trained()) {
            const auto n = static_cast<std::size_t>(p.value.desc.dims.elements());
            const bool gamma = p.kind == model::parameter_kind::batch_norm_weight;
            const double deviation = p.decays() ? std::sqrt(2.0 / static_cast<double>(p.fan_in)) : 0.2;
            write(p.value, petnet::testing::normal_values(n, p.name, deviation, gamma ? 1 : 0));
        }
        for (const model::running_statistic& s : parameters_.statistics())
            write(s.value, std::vector<double>(static_cast<std::size_t>(s.value.desc.dims.elements()), 1.0));
        plan_.bind(memory_.get());
        write(plan_.image(), petnet::testing::normal_values(batch * 3 * side * side, "image"));
        const std::vector<std::int32_t> target{2, 0, 1, 2};
        device_->write_bytes(plan_.target(), std::as_bytes(std::span(target)));
        const std::vector<std::uint64_t> keys{11, 12, 13, 14};
        device_->write_bytes(plan_.row_keys(), std::as_bytes(std::span(keys)));
        set_rate(0);
    }

    // Rate 0: a step computes the gradients and leaves the parameters as they are.
    void set_rate(double rate) {
        std::vector<double> settings;
        for (std::size_t g = 0; g < model::parameter_groups; ++g)
            settings.insert(settings.end(), {rate, 0.9, 1});
        write(plan_.settings(), settings);
    }
    void write(const kernels::tensor_view& to, const std::vector<double>& values) {
        device_->write(to, std::span<const double>(values));
    }
    std::vector<double> read(const kernels::tensor_view& from) {
        std::vector<double> values(static_cast<std::size_t>(from.desc.dims.elements()));
        device_->read(from, std::span<double>(values));
        return values;
    }
    double loss() {
        plan_.execute();
        return read(plan_.loss())[0];
    }

    static constexpr std::int64_t batch = 4, side = 20;
    std::unique_ptr<kernels::backend> device_ = kernels::make_backend("reference-double");
    model::network network_ = model::make_resnet({.classes = 3,
                                                  .stem_channels = 4,
                                                  .stage_channels = {4, 6},
                                                  .stage_blocks = {1, 2},
                                                  .head_width = 5,
                                                  .head_dropout_1 = 0.25,
                                                  .head_dropout_2 = 0.4});
    model::parameters parameters_{*device_, network_, kernels::dtype::f32};
    model::plan plan_{
        parameters_,
        network_,
        {.kind = GetParam(), .batch = batch, .height = side, .width = side, .from_pixels = false}};
    kernels::device_memory memory_ = device_->allocate(plan_.memory_bytes());
};

// The truncation of a central difference at this step is about 1e-10 of the loss, its rounding 1e-11;
// elements whose step crosses a kink of ReLU or of a maximum would stand out by far more than the limit.
TEST_P(small_network, gradients_are_those_of_the_loss) {
    constexpr double step = 1e-5, limit = 1e-6;
    constexpr std::size_t samples = 8;
    const double start = loss();
    EXPECT_GT(start, 0.1);
    std::size_t checked = 0;
    for (const model::parameter& p : parameters_.trained()) {
        if (GetParam() == model::phase::frozen && p.kind == model::parameter_kind::convolution) {
            EXPECT_THROW(static_cast<void>(plan_.gradient(p.name)), std::logic_error);
            continue;
        }
        static_cast<void>(loss());
        const std::vector<double> gradient = read(plan_.gradient(p.name));
        std::vector<double> values = read(p.value);
        double scale = 1e-2; // of the loss: a gradient that vanishes is judged by the rounding
        for (const double g : gradient) scale = std::max(scale, std::abs(g));
        const random_key key = random_key(3).child(p.name);
        for (std::size_t i = 0; i < std::min(samples, values.size()); ++i) {
            const std::size_t at = values.size() <= samples ? i : key.bits(i) % values.size();
            const double value = values[at];
            const auto loss_at = [&](double moved) {
                values[at] = moved;
                write(p.value, values);
                return loss();
            };
            const double difference = (loss_at(value + step) - loss_at(value - step)) / (2 * step);
            values[at] = value;
            write(p.value, values);
            EXPECT_NEAR(gradient[at], difference, limit * scale) << p.name << " element " << at;
            ++checked;
        }
    }
    EXPECT_GE(checked, GetParam() == model::phase::frozen ? 120U : 180U);
    EXPECT_EQ(loss(), start) << "a rate of 0 moved something, or dropout drew anew";
}

TEST_P(small_network, a_step_moves_what_the_phase_trains) {
    std::vector<std::vector<double>> before;
    for (const model::parameter& p : parameters_.trained()) before.push_back(read(p.value));
    const double start = loss();
    set_rate(1e-3);
    plan_.execute();
    std::size_t i = 0;
    for (const model::parameter& p : parameters_.trained()) {
        const bool trains =
            GetParam() == model::phase::unfrozen || p.kind != model::parameter_kind::convolution;
        EXPECT_EQ(read(p.value) != before[i++], trains) << p.name;
    }
    EXPECT_LT(loss(), start);
}

INSTANTIATE_TEST_SUITE_P(phases, small_network,
                         ::testing::Values(model::phase::frozen, model::phase::unfrozen),
                         [](const auto& each) { return std::string(model::name_of(each.param)); });

} // namespace
