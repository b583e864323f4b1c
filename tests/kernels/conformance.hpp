// SPDX-License-Identifier: Apache-2.0
// Judges an operation of any backend against reference-double.
#pragma once

#include "tests/support/test_tensors.hpp"

#include <functional>

namespace petnet::testing {

// Builds the operation with tensors of one backend; called once for each run, with the same values.
using operation_builder = std::function<operation_params(test_tensors&)>;

// Every tensor that the operation writes agrees with reference-double's, given the same inputs, within
// tolerance_of(); a second run gives the same bits; nothing is written beside the tensors.
void expect_conformance(backend& judged, dtype activations, const operation_builder& build);

} // namespace petnet::testing
