// SPDX-License-Identifier: Apache-2.0
// Descriptions of GPUs in cuDNN's own terms, from their data sheets: with them cuDNN says on any machine
// which plans it has for such a device.
#pragma once

#include <fmt/format.h>

#include <cstdint>
#include <string>

namespace petnet::testing {

struct described_device {
    std::string name;
    int compute_capability; // 900: 9.0
    int multiprocessors;
    std::int64_t shared_memory; // a block's at most, in bytes
    int reserved_shared_memory; // a block's
    int blocks, threads;        // a multiprocessor's at most
    std::int64_t memory, cache; // bytes
    int clock, memory_clock;    // kHz

    [[nodiscard]] std::string json() const {
        return fmt::format(
            R"({{"maxGridSize":[2147483647,65535,65535],"maxBlockSize":[1024,1024,64],"regsPerBlock":65536,)"
            R"("multiProcessorCount":{},"warpSize":32,"maxSharedMemoryPerBlock":49152,)"
            R"("maxSharedMemoryPerBlockOptin":{},"reservedSharedMemoryPerBlock":{},)"
            R"("maxRegistersPerSM":65536,"maxCtasPerSM":{},"maxThreadsPerBlock":1024,"maxThreadsPerSM":{},)"
            R"("pciDeviceId":0,"isTccDriver":0,"supportCoopLaunch":1,"totalGlobalMem":{},)"
            R"("smClockRateKHz":{},"memClockRateKHz":{},"l2CacheSize":{},)"
            R"("cudaDeviceId":0,"deviceVer":{},"driverVer":13000,"deviceName":"{}"}})",
            multiprocessors, shared_memory, reserved_shared_memory, blocks, threads, memory, clock,
            memory_clock, cache, compute_capability, name);
    }
};

inline const described_device tesla_t4{.name = "Tesla T4",
                                       .compute_capability = 750,
                                       .multiprocessors = 40,
                                       .shared_memory = 65536,
                                       .reserved_shared_memory = 0,
                                       .blocks = 16,
                                       .threads = 1024,
                                       .memory = 15655829504,
                                       .cache = 4194304,
                                       .clock = 1590000,
                                       .memory_clock = 5001000};
inline const described_device a100{.name = "NVIDIA A100-SXM4-80GB",
                                   .compute_capability = 800,
                                   .multiprocessors = 108,
                                   .shared_memory = 166912,
                                   .reserved_shared_memory = 1024,
                                   .blocks = 32,
                                   .threads = 2048,
                                   .memory = 84987740160,
                                   .cache = 41943040,
                                   .clock = 1410000,
                                   .memory_clock = 1593000};
inline const described_device h200{.name = "NVIDIA H200",
                                   .compute_capability = 900,
                                   .multiprocessors = 132,
                                   .shared_memory = 232448,
                                   .reserved_shared_memory = 1024,
                                   .blocks = 32,
                                   .threads = 2048,
                                   .memory = 150754820096,
                                   .cache = 62914560,
                                   .clock = 1980000,
                                   .memory_clock = 3201000};

} // namespace petnet::testing
