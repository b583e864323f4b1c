// SPDX-License-Identifier: Apache-2.0
// Numbers as Python prints them: parameters in a tracker compare equal to those that fastai's autologging
// wrote.
#pragma once

#include <span>
#include <string>

namespace petnet::train {

// repr(x) of a finite float: "0.002", "1e-05", "5.0", "100000.0".
[[nodiscard]] std::string python_repr(double value);

// str of a list of one and the same float: "[0.01, 0.01, 0.01]".
[[nodiscard]] std::string python_list(std::span<const double> values);

// str of a one-dimensional numpy array of finite floats, with numpy's default options (numpy 1.14 and later,
// FloatingFormat of numpy/core/arrayprint.py): "[1.e-05 1.e-04 1.e-03]", "[0.1  0.25]".
[[nodiscard]] std::string numpy_text(std::span<const double> values);

} // namespace petnet::train
