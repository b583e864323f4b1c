// SPDX-License-Identifier: Apache-2.0
// The backends that a suite is run on: all that this build has and this machine can run.
#pragma once

#include "kernels/backend.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <string>
#include <vector>

namespace petnet::testing {

[[nodiscard]] inline std::vector<std::string> available_backends() {
    std::vector<std::string> names;
    for (const kernels::backend_status& status : kernels::list_backends())
        if (status.available) names.push_back(status.name);
    return names;
}

// For INSTANTIATE_TEST_SUITE_P: "reference_double".
[[nodiscard]] inline std::string test_name(std::string backend) {
    std::ranges::replace(backend, '-', '_');
    return backend;
}

} // namespace petnet::testing
