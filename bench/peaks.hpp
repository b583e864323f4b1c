// SPDX-License-Identifier: Apache-2.0
// What this machine can at best: the peaks that operations are measured against.
#pragma once

#include "kernels/backend.hpp"

#include <string>

namespace petnet::bench {

struct device_peaks {
    double copy_gb_per_s =
        0; // of a copy far larger than any cache, bytes read and bytes written; 0: not known
    double fma_gflop_per_s = 0;  // of fused multiply-adds in registers, float32, on a processor; 0: not known
    double gemm_gflop_per_s = 0; // of a large matrix product in the precision, by the backend; 0: not known

    [[nodiscard]] double gflop_per_s(const std::string& precision) const {
        return precision == "fp32" && fma_gflop_per_s > gemm_gflop_per_s ? fma_gflop_per_s : gemm_gflop_per_s;
    }
};

// On the device on which `precision` was prepared; `threads` of the processor (0: all that the process may
// use). Takes a second or two.
[[nodiscard]] device_peaks measure_peaks(kernels::backend& device, const std::string& precision, int threads);

// On so many threads of the processor, each on data of its own. GB/s: bytes read and bytes written, with
// ordinary stores or those that pass the caches by, whichever is faster.
[[nodiscard]] double processor_copy_gb_per_s(int threads);
[[nodiscard]] double processor_fma_gflop_per_s(int threads);

} // namespace petnet::bench
