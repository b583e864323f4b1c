// SPDX-License-Identifier: Apache-2.0
#include "bench/record.hpp"

#include "base/utc_time.hpp"
#include "base/version.hpp"
#include "bench/machine_facts.hpp"
#include "bench/measure.hpp"
#include "bench/statistics.hpp"

#include <algorithm>
#include <nlohmann/json.hpp>

namespace petnet::bench {
namespace {

nlohmann::json samples_json(const std::vector<double>& seconds) {
    const summary of = summarise(seconds);
    return {{"median", of.median},
            {"first_quartile", of.first_quartile},
            {"third_quartile", of.third_quartile},
            {"samples", seconds}};
}

nlohmann::json case_json(const measured_case& each) {
    const case_description& about = each.about;
    nlohmann::json json{{"name", about.name},
                        {"group", about.group},
                        {"label", about.label},
                        {"shapes", about.shapes},
                        {"phase", about.phase},
                        {"precision", about.precision},
                        {"batch", about.batch},
                        {"threads", about.threads},
                        {"counts", about.counts},
                        {"bytes", about.bytes},
                        {"flops", about.flops},
                        {"items", about.items},
                        {"verified", each.result.verified}};
    if (!each.result.failure.empty()) json["failure"] = each.result.failure;
    if (!each.result.hot.empty()) json["hot"] = samples_json(each.result.hot);
    if (!each.result.cold.empty()) json["cold"] = samples_json(each.result.cold);
    return json;
}

} // namespace

double record::clock_seconds() const {
    double largest = 0;
    for (const measured_case& each : cases) largest = std::max(largest, each.result.clock_seconds);
    return largest;
}

double record::timer_error() const {
    double largest = 0;
    for (const measured_case& each : cases) largest = std::max(largest, each.result.timer_error);
    return largest;
}

const device_peaks* record::peaks_of(const case_description& about) const {
    const auto found = peaks.find({about.precision, about.threads});
    return found == peaks.end() ? nullptr : &found->second;
}

nlohmann::json to_json(const record& found) {
    nlohmann::json json{{"program", "petnet-bench"},
                        {"version", version()},
                        {"date", utc_now()},
                        {"command", found.command},
                        {"machine", machine_facts()},
                        {"device", found.device},
                        {"runner", benchmark_library()},
                        {"seconds", found.seconds},
                        {"clock_seconds", found.clock_seconds()},
                        {"timer_seconds", found.timer_error()},
                        {"peaks", nlohmann::json::array()},
                        {"cases", nlohmann::json::array()}};
    for (const auto& [key, peaks] : found.peaks)
        json["peaks"].push_back({{"precision", key.first},
                                 {"threads", key.second},
                                 {"copy_gb_per_s", peaks.copy_gb_per_s},
                                 {"fma_gflop_per_s", peaks.fma_gflop_per_s},
                                 {"gemm_gflop_per_s", peaks.gemm_gflop_per_s}});
    for (const measured_case& each : found.cases) json["cases"].push_back(case_json(each));
    return json;
}

} // namespace petnet::bench
