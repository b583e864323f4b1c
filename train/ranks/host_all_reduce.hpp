// SPDX-License-Identifier: Apache-2.0
// Means over ranks of tensors in the host's memory.
#pragma once

#include "kernels/all_reduce.hpp"
#include "kernels/backend.hpp"
#include "train/ranks/communicator.hpp"

#include <memory>

namespace petnet::ranks {

// How tensors of `device` are averaged over the ranks: device to device where it can (NCCL), else by
// communicator::all_reduce on a thread of its own while the device works on. usage_error for a device that
// has neither. Both outlive it.
[[nodiscard]] std::unique_ptr<kernels::all_reduce> make_all_reduce(kernels::backend& device,
                                                                   communicator& ranks);

} // namespace petnet::ranks
