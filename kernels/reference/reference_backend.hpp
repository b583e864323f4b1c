// SPDX-License-Identifier: Apache-2.0
// The oracle: every operation of ops.hpp as plain loops, single-threaded, in float or in double.
#pragma once

#include "kernels/backend.hpp"

#include <memory>

namespace petnet::kernels {

// "reference": f32 tensors are float; bf16 activations are rounded where a bf16 kernel rounds.
[[nodiscard]] std::unique_ptr<backend> make_reference_backend();
// "reference-double": f32 tensors are stored and worked on as double; no bf16.
[[nodiscard]] std::unique_ptr<backend> make_reference_double_backend();

} // namespace petnet::kernels
