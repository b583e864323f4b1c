// SPDX-License-Identifier: Apache-2.0
// A confusion matrix as comma-separated values (RFC 4180).
#pragma once

#include "report/evaluation.hpp"

#include <string>

namespace petnet::report {

// A header and a row for each pair of classes that occurred, right answers among them: is, was_taken_for,
// photographs; in the order of the classes.
[[nodiscard]] std::string csv_of_confusion(const evaluation& e);

} // namespace petnet::report
