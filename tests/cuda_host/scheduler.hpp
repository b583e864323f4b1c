// SPDX-License-Identifier: Apache-2.0
// Runs launches.
#pragma once

#include "tests/cuda_host/include/cuda_host/control.hpp"
#include "tests/cuda_host/schedule.hpp"

#include <cuda_runtime.h>
#include <functional>
#include <string>

namespace cuda_host {

struct launch_work {
    dim3 grid, block;
    std::function<void()> thread;
    std::string kernel; // its type, for messages
};

// kernel_error where the configuration is none that a device takes.
void check_launch(const cudaLaunchConfig_t& config, const std::string& kernel);
// All blocks and threads of it. One launch at a time. kernel_error: see there.
void run_launch(const launch_work& work, const schedule& how);

} // namespace cuda_host
