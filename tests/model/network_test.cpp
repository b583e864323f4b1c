// SPDX-License-Identifier: Apache-2.0
// ResNet-34 as a list, and its parameters' places and first values.
#include "model/network.hpp"

#include "kernels/backend.hpp"
#include "model/parameters.hpp"
#include "model/weights/weight_names.hpp"

#include <algorithm>
#include <cmath>
#include <gtest/gtest.h>
#include <map>
#include <numeric>
#include <set>

using namespace petnet;

namespace {

class resnet34 : public ::testing::Test {
  protected:
    std::unique_ptr<kernels::backend> device_ = kernels::make_backend("reference");
    model::network network_ = model::make_resnet({.classes = 37});
    model::parameters parameters_{*device_, network_, kernels::dtype::f32};

    std::vector<double> values(const kernels::tensor_view& view) {
        std::vector<double> result(static_cast<std::size_t>(view.desc.dims.elements()));
        device_->read(view, std::span<double>(result));
        return result;
    }
};

TEST_F(resnet34, has_36_convolutions_in_torchvisions_names) {
    EXPECT_EQ(network_.units.size(), 36U);
    std::set<std::string> names;
    for (const model::parameter& p : parameters_.trained()) names.insert(p.name);
    for (const model::running_statistic& s : parameters_.statistics()) names.insert(s.name);
    std::set<std::string> expected;
    for (const std::string& name : model::body_weight_names()) expected.insert(name);
    for (const std::string& name : model::head_weight_names()) expected.insert(name);
    for (const std::string& name : expected)
        EXPECT_TRUE(names.contains(name) || name.ends_with("num_batches_tracked")) << name;
    for (const std::string& name : names) EXPECT_TRUE(expected.contains(name)) << name;
    EXPECT_EQ(network_.features(), 1024);
}

TEST_F(resnet34, has_21_8_million_parameters_in_three_groups) {
    std::map<std::size_t, std::int64_t> of_group;
    for (const model::parameter& p : parameters_.trained()) of_group[p.group] += p.value.desc.dims.elements();
    // torchvision's resnet34 without its classifier has 21284672.
    EXPECT_EQ(of_group.at(0) + of_group.at(1), 21284672);
    EXPECT_EQ(of_group.at(2), 2 * 1024 + 1024 * 512 + 2 * 512 + 512 * 37);
    for (const model::parameter& p : parameters_.trained()) {
        const bool second = p.name.starts_with("layer3") || p.name.starts_with("layer4");
        EXPECT_EQ(p.group, p.name.starts_with("head") ? 2U : second ? 1U : 0U) << p.name;
        EXPECT_EQ(p.decays(), p.value.desc.dims.rank() > 1) << p.name;
    }
    EXPECT_THROW(static_cast<void>(parameters_.find("layer5.0.conv1.weight")), std::logic_error);
    EXPECT_THROW(static_cast<void>(model::make_resnet({.stage_channels = {}})), std::logic_error);
}

TEST_F(resnet34, starts_kaiming_normal) {
    model::initialise(parameters_, 1);
    for (const model::parameter& p : parameters_.trained()) {
        const std::vector<double> v = values(p.value);
        const auto n = static_cast<double>(v.size());
        if (!p.decays()) {
            EXPECT_EQ(std::ranges::count(v, p.name.ends_with("weight") ? 1.0 : 0.0), std::ssize(v)) << p.name;
            continue;
        }
        const kernels::shape& dims = p.value.desc.dims;
        const auto fan = static_cast<double>(
            p.kind == model::parameter_kind::convolution ? dims[0] * dims[2] * dims[3] : dims[1]);
        const double mean = std::accumulate(v.begin(), v.end(), 0.0) / n;
        const double variance = std::inner_product(v.begin(), v.end(), v.begin(), 0.0) / n - mean * mean;
        // Five standard errors of n normal draws.
        EXPECT_NEAR(mean, 0, 5 * std::sqrt(2 / fan / n)) << p.name;
        EXPECT_NEAR(variance * fan / 2, 1, 5 * std::sqrt(2 / n)) << p.name;
    }
    for (const model::running_statistic& s : parameters_.statistics()) {
        const std::vector<double> v = values(s.value);
        EXPECT_EQ(std::ranges::count(v, s.variance ? 1.0 : 0.0), std::ssize(v)) << s.name;
    }
}

TEST_F(resnet34, first_values_follow_the_seed_and_the_name) {
    const auto start_of = [&](std::uint64_t seed, const char* name) {
        model::initialise(parameters_, seed);
        return values(parameters_.find(name).value);
    };
    const std::vector<double> first = start_of(1, "layer1.0.conv1.weight");
    EXPECT_EQ(start_of(1, "layer1.0.conv1.weight"), first);
    EXPECT_NE(start_of(2, "layer1.0.conv1.weight"), first);
    EXPECT_NE(start_of(1, "layer1.0.conv2.weight"), first);
}

} // namespace
