// SPDX-License-Identifier: Apache-2.0
// The convolutions that the tests link in the place of cuDNN's.
#pragma once

#include "kernels/cuda/convolution.hpp"

#include <cstddef>
#include <memory>

namespace petnet::kernels::cuda {

// What the plans of make_convolutions() ask for, at first and after reduce_workspaces() has said no.
inline constexpr std::size_t largest_plain_workspace = 4096, smallest_plain_workspace = 1024;

// Of any kind.
[[nodiscard]] std::shared_ptr<convolution_plan> make_plain_plan(const stored_convolution& problem);

} // namespace petnet::kernels::cuda
