// SPDX-License-Identifier: Apache-2.0
// In the place of gpu_facts.cpp where the cuda backend is not built.
#include "base/errors.hpp"
#include "bench/gpu_facts.hpp"

#include <nlohmann/json.hpp>

namespace petnet::bench {

nlohmann::json gpu_facts() { throw environment_error("petnet-bench was built without CUDA"); }

} // namespace petnet::bench
