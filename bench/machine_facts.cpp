// SPDX-License-Identifier: Apache-2.0
#include "bench/machine_facts.hpp"

#include "base/errors.hpp"
#include "bench/process.hpp"

#include <algorithm>
#include <cstdlib>
#include <fstream>
#include <nlohmann/json.hpp>
#include <sys/sysinfo.h>
#include <sys/utsname.h>
#include <unistd.h>

namespace petnet::bench {
namespace {

// What stands behind "KEY : " in /proc/cpuinfo, for the first processor.
std::string cpuinfo(const std::string& key) {
    std::ifstream info("/proc/cpuinfo");
    for (std::string line; std::getline(info, line);)
        if (line.starts_with(key)) return line.substr(std::min(line.find(':') + 2, line.size()));
    return "unknown";
}

std::string first_line(const char* file) {
    std::ifstream from(file);
    std::string line;
    return std::getline(from, line) ? line : "unknown";
}

std::string gpu_state() {
    if (::access("/proc/driver/nvidia/version", R_OK) != 0) return "";
    try {
        std::string text =
            run_process({"nvidia-smi", "--format=csv,noheader",
                         "--query-gpu=name,driver_version,clocks.sm,clocks.max.sm,clocks.mem,power.draw,"
                         "temperature.gpu"},
                        true)
                .output;
        return text.substr(0, text.find('\n'));
    } catch (const environment_error&) {
        return "";
    }
}

} // namespace

nlohmann::json machine_facts() {
    nlohmann::json facts{{"processor", cpuinfo("model name")},
                         {"processors", ::sysconf(_SC_NPROCESSORS_ONLN)},
                         {"clock_mhz", std::strtod(cpuinfo("cpu MHz").c_str(), nullptr)},
                         {"governor", first_line("/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor")},
                         {"last_level_cache_bytes", ::sysconf(_SC_LEVEL3_CACHE_SIZE)}};
    struct sysinfo memory {};
    if (::sysinfo(&memory) == 0) {
        facts["memory_bytes"] = memory.totalram * memory.mem_unit;
        facts["load"] = static_cast<double>(memory.loads[0]) / (1 << SI_LOAD_SHIFT); // of the last minute
    }
    utsname system{};
    if (::uname(&system) == 0) facts["system"] = std::string(system.sysname) + ' ' + system.release;
    if (const std::string gpu = gpu_state(); !gpu.empty()) facts["gpu"] = gpu;
    return facts;
}

} // namespace petnet::bench
