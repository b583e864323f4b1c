// SPDX-License-Identifier: Apache-2.0
// `petnet inspect` of a weight file.
#pragma once

#include <string>

namespace petnet::app {

// Prints the tensors of FILE or FILE:KEY, of which network they are, and whether `petnet train` starts from
// them or why not. Errors as of base/errors.hpp.
void inspect_weights(const std::string& place);

} // namespace petnet::app
