// SPDX-License-Identifier: Apache-2.0
// What the GPU is and how fast it copies.
#pragma once

#include <nlohmann/json_fwd.hpp>

namespace petnet::bench {

// Name, capability, sizes, versions, and copy_gb_per_s (in its memory, read and written), upload_gb_per_s.
// Throws where there is no GPU, and where petnet was built without CUDA.
[[nodiscard]] nlohmann::json gpu_facts();

} // namespace petnet::bench
