// SPDX-License-Identifier: Apache-2.0
#include "tests/support/gradient_check.hpp"

#include "tests/support/compare.hpp"

#include <gtest/gtest.h>

namespace petnet::testing {

// The central difference is wrong by step^2 from the third derivative and by 1e-16/step from rounding, each
// about 1e-10 of the loss: a limit of 1e-7 of the largest gradient leaves room for small gradients.
void expect_gradients(test_tensors& tensors, const differentiable& problem) {
    constexpr double step = 1e-5, limit = 1e-7;

    std::vector<std::vector<double>> cotangents;
    for (const auto& [output, cotangent] : problem.outputs_and_cotangents)
        cotangents.push_back(tensors.values(cotangent)); // before a backward pass works in place
    const auto forward = tensors.prepare(problem.forward);
    const auto loss = [&] {
        tensors.execute(*forward);
        double sum = 0;
        for (std::size_t i = 0; i < cotangents.size(); ++i) {
            const std::vector<double> outputs = tensors.values(problem.outputs_and_cotangents[i].first);
            for (std::size_t at = 0; at < outputs.size(); ++at) sum += outputs[at] * cotangents[i][at];
        }
        return sum;
    };

    std::vector<std::vector<double>> differences;
    double scale = 0; // the loss moves with all inputs: a gradient that vanishes is judged by the others
    for (const auto& input_and_gradient : problem.inputs_and_gradients) {
        const tensor_view& input = input_and_gradient.first;
        std::vector<double> values = tensors.values(input);
        std::vector<double>& difference = differences.emplace_back(values.size());
        for (std::size_t i = 0; i < values.size(); ++i) {
            const double value = values[i];
            const auto loss_at = [&](double moved) {
                values[i] = moved;
                tensors.on().write(input, std::span<const double>(values));
                return loss();
            };
            difference[i] = (loss_at(value + step) - loss_at(value - step)) / (2 * step);
            values[i] = value;
        }
        tensors.on().write(input, std::span<const double>(values));
        scale = std::max(scale, largest_magnitude(difference));
    }

    static_cast<void>(loss()); // leaves the outputs and what is saved as the backward pass expects them
    tensors.run(problem.backward);
    for (std::size_t i = 0; i < differences.size(); ++i)
        EXPECT_TRUE(
            close_to(tensors.values(problem.inputs_and_gradients[i].second), differences[i], limit, scale))
            << "gradient " << i;
    EXPECT_TRUE(tensors.guards_intact());
}

} // namespace petnet::testing
