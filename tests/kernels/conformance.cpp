// SPDX-License-Identifier: Apache-2.0
#include "tests/kernels/conformance.hpp"

#include "kernels/tolerance.hpp"
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

} // namespace

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
    const auto* backward = std::get_if<batch_norm_backward>(&expected_op);
    const double scale =
        backward == nullptr ? 0 : scale_of_terms(*backward, expected_tensors.values(backward->saved));
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
