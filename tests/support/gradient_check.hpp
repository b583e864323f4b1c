// SPDX-License-Identifier: Apache-2.0
// Finite differences against a backward pass, in double.
#pragma once

#include "tests/support/test_tensors.hpp"

#include <utility>
#include <vector>

namespace petnet::testing {

// The loss is the sum of outputs * cotangents; the backward operation turns the cotangents into gradients of
// it with respect to the inputs. All tensors belong to `tensors`, whose backend computes in double.
struct differentiable {
    operation_params forward, backward;
    std::vector<std::pair<tensor_view, tensor_view>> inputs_and_gradients, outputs_and_cotangents;
};

// Every element of every gradient must agree with the central difference of the loss. Inputs must be chosen
// further from kinks (ReLU, ties of a maximum) than the step of 1e-5.
void expect_gradients(test_tensors& tensors, const differentiable& problem);

} // namespace petnet::testing
