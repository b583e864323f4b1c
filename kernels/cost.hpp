// SPDX-License-Identifier: Apache-2.0
// What an operation costs at least: benches and logs divide these by the time.
#pragma once

#include "kernels/ops.hpp"

namespace petnet::kernels {

// bytes: each operand read once and written once in its dtype, no caches assumed, no layout padding.
// flops: multiplications and additions of the formula; a fused multiply-add counts as two.
struct op_cost {
    double bytes_read = 0, bytes_written = 0, flops = 0;
};

[[nodiscard]] op_cost cost_of(const operation_params& op);

} // namespace petnet::kernels
