// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>

namespace petnet::kernels::cpu {

struct bf16 {
    std::uint16_t bits;
};

} // namespace petnet::kernels::cpu
