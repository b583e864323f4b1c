// SPDX-License-Identifier: Apache-2.0
// The end of a training whose numbers are no longer finite: no later step mends that.
#pragma once

#include "kernels/tensor.hpp"

#include <string>

namespace petnet::train {

// input_error: what is broken, and what to try with activations of this precision.
[[noreturn]] void end_broken_training(const std::string& what, kernels::dtype activations);

} // namespace petnet::train
