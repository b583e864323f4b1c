// SPDX-License-Identifier: Apache-2.0
#include "tests/kernels/conformance.hpp"

#include "tests/support/compare.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <string>

namespace petnet::testing {
namespace {

struct results {
    std::map<std::string, std::vector<double>> values;      // floating
    std::map<std::string, std::vector<std::byte>> integers; // row-major ones
    std::map<std::string, dtype> types;
};

results read_written(test_tensors& tensors, const operation_params& op) {
    results read;
    int number = 0; // adam_step has many p
    for_each_operand(op, [&](std::string_view operand, const tensor_view& view, access kind) {
        const std::string name = std::to_string(number++) + ":" + std::string(operand);
        if (kind == access::read) return;
        read.types[name] = view.desc.type;
        if (is_floating(view.desc.type))
            read.values[name] = tensors.values(view);
        else if (view.desc.layout == 0)
            read.integers[name] = tensors.bytes(view);
    });
    return read;
}

// The size of the terms that may cancel in the results: where M is small, dx of a batch norm is the small
// difference of scale * dy and its projections.
double scale_of_terms(test_tensors& tensors, const operation_params& op) {
    const auto* backward = std::get_if<batch_norm_backward>(&op);
    if (backward == nullptr) return 0;
    std::vector<double> scale = tensors.values(backward->saved);
    const std::size_t channels = scale.size() / 4;
    return 2 * largest_magnitude(std::span(scale).subspan(2 * channels, channels));
}

bool can_run_again(const operation_params& op) {
    std::vector<const std::byte*> addresses;
    bool updates = false;
    for_each_operand(op, [&](std::string_view, const tensor_view& view, access kind) {
        updates = updates || kind == access::update;
        addresses.push_back(view.data);
    });
    std::ranges::sort(addresses);
    return !updates && std::ranges::adjacent_find(addresses) == addresses.end();
}

void expect_same_bits(const results& first, const results& second) {
    EXPECT_EQ(first.integers, second.integers);
    for (const auto& [name, values] : first.values) {
        const std::vector<double>& again = second.values.at(name);
        EXPECT_TRUE(std::ranges::equal(std::as_bytes(std::span(values)), std::as_bytes(std::span(again))))
            << name << " differs from run to run";
    }
}

// How many terms the longest sum of an operation has.
struct longest_sum {
    double operator()(const convolution_forward& c) const { return patch(c.shape, c.shape.in_channels); }
    double operator()(const convolution_backward_data& c) const {
        return patch(c.shape, c.shape.out_channels);
    }
    double operator()(const convolution_backward_weights& c) const {
        return static_cast<double>(c.dy.desc.dims.elements()) / static_cast<double>(c.shape.out_channels);
    }
    double operator()(const batch_norm_forward& b) const { return per_channel(b.x); }
    double operator()(const batch_norm_backward& b) const { return per_channel(b.x); }
    double operator()(const concat_pool_forward& p) const {
        return static_cast<double>(p.x.desc.dims[2] * p.x.desc.dims[3]);
    }
    double operator()(const linear_forward& l) const { return static_cast<double>(l.x.desc.dims[1]); }
    double operator()(const linear_backward& l) const {
        return static_cast<double>(std::max(l.dy.desc.dims[0], l.dy.desc.dims[1]));
    }
    double operator()(const softmax_cross_entropy& s) const {
        return static_cast<double>(s.logits.desc.dims[1]);
    }
    double operator()(const auto&) const { return 1; }

    static double patch(const convolution_shape& s, std::int64_t channels) {
        return static_cast<double>(s.kernel * s.kernel * channels);
    }
    static double per_channel(const tensor_view& x) {
        return static_cast<double>(x.desc.dims.elements()) / static_cast<double>(x.desc.dims[1]);
    }
};

// By how many units of 2^-24 coordinates magnify rounding: each is computed between -1 and 1 and counts up to
// its side in pixels, the values of neighbouring pixels may be the whole range apart, and the errors along
// both axes add up.
double magnification(const operation_params& op) {
    const auto* photo = std::get_if<sampled_photo_to_tensor>(&op);
    if (photo == nullptr) return 1;
    return static_cast<double>(photo->pixels.desc.dims[1] + photo->pixels.desc.dims[2]);
}

} // namespace

// A sum of n terms, each rounded by at most eps = 2^-24, is off by about eps * sqrt(n) of its size; 16 covers
// the constants: several sums in a row (mean, then variance, then the scale that multiplies all) and elements
// larger than the typical one. A bf16 result is rounded once more, by up to 2^-8 of itself (f16: 2^-11); dx
// of a batch norm with a residual twice, as a kernel may keep g in dresidual alone.
double tolerance_of(const operation_params& op, dtype written) {
    const double arithmetic = 16 * 0x1p-24 * std::sqrt(std::visit(longest_sum{}, op)) * magnification(op);
    const auto* backward = std::get_if<batch_norm_backward>(&op);
    const int roundings = backward != nullptr && backward->dresidual.present() ? 2 : 1;
    const auto* weights = std::get_if<convolution_backward_weights>(&op); // whose dw may be rounded like x
    const dtype rounded = weights != nullptr ? weights->x.desc.type : written;
    const double unit = rounded == dtype::bf16 ? 0x1p-8 : rounded == dtype::f16 ? 0x1p-11 : 0;
    return roundings * unit + arithmetic;
}

void expect_conformance(backend& judged, dtype activations, const operation_builder& build) {
    const std::unique_ptr<backend> oracle = make_backend("reference-double");
    test_tensors expected_tensors(*oracle, dtype::f32, activations);
    const operation_params expected_op = build(expected_tensors);
    SCOPED_TRACE(std::string(name_of(expected_op)));
    expected_tensors.run(expected_op);
    const results expected = read_written(expected_tensors, expected_op);

    test_tensors tensors(judged, activations, activations);
    const operation_params op = build(tensors);
    const std::unique_ptr<operation> prepared = tensors.prepare(op);
    tensors.execute(*prepared);
    const results actual = read_written(tensors, op);
    const double scale = scale_of_terms(expected_tensors, expected_op);
    for (const auto& [name, values] : expected.values)
        EXPECT_TRUE(close_to(actual.values.at(name), values, tolerance_of(op, actual.types.at(name)),
                             name.ends_with(":dx") ? scale : 0))
            << name;
    for (const auto& [name, bytes] : expected.integers) EXPECT_EQ(actual.integers.at(name), bytes) << name;
    EXPECT_TRUE(tensors.guards_intact());

    if (can_run_again(op)) {
        tensors.execute(*prepared);
        expect_same_bits(actual, read_written(tensors, op));
    }
    test_tensors fresh_tensors(judged, activations, activations);
    const operation_params fresh = build(fresh_tensors);
    fresh_tensors.run(fresh);
    expect_same_bits(actual, read_written(fresh_tensors, fresh));
}

} // namespace petnet::testing
