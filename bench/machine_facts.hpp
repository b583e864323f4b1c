// SPDX-License-Identifier: Apache-2.0
// On what a measurement was made.
#pragma once

#include <nlohmann/json_fwd.hpp>

namespace petnet::bench {

// Processor, its clock now and how it is governed, caches, memory, kernel, what else runs (load); of an
// NVIDIA driver what nvidia-smi says of clocks, power and temperature.
[[nodiscard]] nlohmann::json machine_facts();

} // namespace petnet::bench
