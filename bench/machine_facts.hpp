// SPDX-License-Identifier: Apache-2.0
// On what a measurement was made.
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <string>

namespace petnet::bench {

// Processor, its clock now and how it is governed, caches, memory, kernel, what else runs (load); of an
// NVIDIA driver what nvidia-smi says of clocks, power and temperature.
[[nodiscard]] nlohmann::json machine_facts();

[[nodiscard]] std::string date_now(); // "2026-11-25T19:20:00Z"

} // namespace petnet::bench
