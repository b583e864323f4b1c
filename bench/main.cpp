// SPDX-License-Identifier: Apache-2.0
// petnet-bench: how fast every operation is here, and whether one became slower.
#include "base/errors.hpp"
#include "base/files.hpp"
#include "base/version.hpp"
#include "bench/gate_command.hpp"
#include "bench/gpu_facts.hpp"
#include "bench/measure.hpp"
#include "bench/record.hpp"
#include "bench/step_under_test.hpp"
#include "bench/suite.hpp"
#include "train/places.hpp"

#include <CLI/CLI.hpp>
#include <fmt/format.h>

#include <algorithm>
#include <cstdio>
#include <exception>
#include <nlohmann/json.hpp>
#include <regex>
#include <thread>
#include <unistd.h>

namespace {

using namespace petnet;
using namespace petnet::bench;

struct bench_options {
    suite_options suite;
    std::string filter, json;
    double gemm_gflop_per_s = 0; // measured elsewhere
    bool list = false, quick = false, no_verify = false;
};

void add_suite_options(CLI::App& to, bench_options& options) {
    to.add_option("--device", options.suite.device, "auto, cpu, cuda, reference")->capture_default_str();
    to.add_option("--dtype", options.suite.precisions,
                  "fp32, tf32, bf16, fp16; several with commas (what training takes here)")
        ->delimiter(',');
    to.add_option("--batch", options.suite.batches, "photographs; several with commas (32, on a GPU 64)")
        ->delimiter(',');
    to.add_option("--threads", options.suite.threads, "of the processor; several with commas (all)")
        ->delimiter(',');
    to.add_option("--size", options.suite.size, "side of a photograph in pixels")->capture_default_str();
    to.add_option("--filter", options.filter, "only cases whose name has this regular expression (--list)");
    to.add_flag("--quick", options.quick, "batch 8 and few samples: within a minute");
}

// What was left open, for this device.
void fill_in(bench_options& options) {
    suite_options& suite = options.suite;
    if (suite.device.starts_with("check:"))
        throw usage_error("--device " + suite.device + " compares, it is not to be timed");
    if (suite.device == "auto" || suite.precisions.empty()) {
        const auto device = kernels::make_backend(suite.device);
        suite.device = device->name();
        const kernels::dtype fastest = device->fastest();
        if (suite.precisions.empty())
            suite.precisions = {fastest == kernels::dtype::bf16  ? "bf16"
                                : fastest == kernels::dtype::f16 ? "fp16"
                                                                 : "fp32"};
    }
    for (const std::string& precision : suite.precisions) static_cast<void>(dtype_of(precision));
    const bool on_gpu = suite.device == "cuda";
    if (suite.batches.empty()) suite.batches = {on_gpu ? 64 : options.quick ? 8 : 32};
    if (suite.threads.empty() || on_gpu) suite.threads = {0};
    if (std::ranges::any_of(suite.batches, [](std::int64_t batch) { return batch < 2; }) || suite.size < 32)
        throw usage_error("expected a --batch of at least 2 and a --size of at least 32");
    for (int& threads : suite.threads) {
        if (threads < 0) throw usage_error("expected --threads of at least 1");
        if (threads == 0) threads = static_cast<int>(std::max(1U, std::thread::hardware_concurrency()));
    }
    if (suite.photographs.empty()) suite.photographs = train::sample_folder() / "images";
}

case_list chosen_cases(const bench_options& options) {
    case_list cases = make_suite(options.suite);
    try {
        const std::regex wanted(options.filter);
        std::erase_if(cases,
                      [&](const auto& each) { return !std::regex_search(each->about().name, wanted); });
    } catch (const std::regex_error&) {
        throw usage_error("--filter " + options.filter + " is no regular expression");
    }
    if (cases.empty()) throw usage_error("--filter " + options.filter + " leaves no case (--list shows all)");
    return cases;
}

void show_progress(std::size_t done, std::size_t all, const std::string& name) {
    if (::isatty(STDERR_FILENO) != 0)
        fmt::print(stderr, "\r\033[K{}", done < all ? fmt::format("{}/{} {}", done, all, name) : "");
}

int run_bench(bench_options& options, const std::string& command) {
    const double began = seconds_now();
    fill_in(options);
    const case_list cases = chosen_cases(options);
    if (options.list) {
        for (const auto& each : cases) fmt::print("{}\n", each->about().name);
        return 0;
    }
    record found{.command = command, .device = {}, .device_name = options.suite.device};
    for (const auto& each : cases) {
        const case_description& about = each->about();
        if (about.precision.empty() || found.peaks.contains({about.precision, about.threads})) continue;
        const auto device = kernels::make_backend(
            options.suite.device, {.threads = about.threads, .tf32 = about.precision == "tf32"});
        found.device = device->device();
        device_peaks peaks = measure_peaks(*device, about.precision, about.threads);
        peaks.gemm_gflop_per_s = std::max(peaks.gemm_gflop_per_s, options.gemm_gflop_per_s);
        found.peaks[{about.precision, about.threads}] = peaks;
    }
    if (found.device.empty()) found.device = "no device: the processor and the disk alone";
    measure(cases, {.quick = options.quick, .verify = !options.no_verify},
            [&](const bench_case& each, const measurement& result) {
                found.cases.push_back({each.about(), result});
                show_progress(found.cases.size(), cases.size(), each.about().name);
            });
    found.seconds = seconds_now() - began;
    fmt::print("petnet-bench {}\n{}", version(), to_table(found));
    if (!options.json.empty()) write_file_atomically(options.json, to_json(found).dump(1) + '\n');
    const auto wrong = std::ranges::count_if(
        found.cases, [](const measured_case& each) { return !each.result.failure.empty(); });
    if (wrong > 0) fmt::print("{} operations are WRONG and were not timed\n", wrong);
    return wrong > 0 ? 1 : 0;
}

// One line of JSON, for scripts.
int print_peaks(bench_options& options) {
    fill_in(options);
    nlohmann::json line = options.suite.device == "cuda" ? gpu_facts() : nlohmann::json::object();
    for (const std::string& precision : options.suite.precisions)
        for (const int threads : options.suite.threads) {
            const auto device = kernels::make_backend(options.suite.device,
                                                      {.threads = threads, .tf32 = precision == "tf32"});
            if (!device->supports(dtype_of(precision))) continue;
            const device_peaks peaks = measure_peaks(*device, precision, threads);
            line["device"] = device->device();
            line["copy_gb_per_s"] = peaks.copy_gb_per_s;
            line["gemm_gflop_per_s"][precision] = peaks.gemm_gflop_per_s;
            if (peaks.fma_gflop_per_s > 0) line["fma_gflop_per_s"] = peaks.fma_gflop_per_s;
        }
    fmt::print("{}\n", line.dump());
    return 0;
}

int run(int argc, char** argv) {
    CLI::App program("How fast every operation, step, photograph and checkpoint is on this machine.",
                     "petnet-bench");
    program.set_version_flag("--version", "petnet-bench " + version());
    program.footer(
        "petnet-bench gate BASE HEAD says whether HEAD is slower; petnet-bench peaks what the machine can.\n"
        "Exit codes: 0 done, 1 slower or wrong, 2 wrong usage, 3 bad input, 4 the machine failed.");
    bench_options options;
    add_suite_options(program, options);
    program.add_option("--photographs", options.suite.photographs,
                       "a folder for the photo path (the sample)");
    program.add_option("--json", options.json, "a file for everything, with all samples");
    program.add_option("--gemm-peak", options.gemm_gflop_per_s,
                       "GFLOP/s of another program's matrix products: the peak, where petnet's is lower");
    program.add_flag("--list", options.list, "the cases' names, nothing is timed");
    program.add_flag("--no-verify", options.no_verify, "results are not compared with the reference first");

    gate_options gate;
    bench_options gated;
    bool full = false;
    CLI::App& gate_command = *program.add_subcommand(
        "gate",
        "runs two builds in turns: SAME, FASTER, SLOWER or UNCLEAR for each case; status 1 if SLOWER");
    gate_command.add_option("base", gate.base, "a petnet-bench, or a build folder")->required();
    gate_command.add_option("head", gate.head, "what is judged")->required();
    gate_command.add_option("--pairs", gate.pairs, "runs of each")
        ->check(CLI::Range(5, 1000))
        ->capture_default_str();
    gate_command.add_option("--seed", gate.seed, "of the order of runs")->capture_default_str();
    gate_command.add_option("--filter", gate.filter, "only cases whose name has this regular expression");
    gate_command.add_option("--json", gate.json, "a file for all medians and verdicts");
    gate_command.add_flag("--full", full, "not --quick in each run");
    gate_command
        .add_option("--with", gate.passed_on, "an option for both, as --with=--device=cpu; several times")
        ->allow_extra_args(false);

    CLI::App& peaks_command =
        *program.add_subcommand("peaks", "copy, FMA and GEMM of this machine, as a line of JSON");
    add_suite_options(peaks_command, gated);

    try {
        program.parse(argc, argv);
    } catch (const CLI::Success& asked) {
        return program.exit(asked);
    } catch (const CLI::ParseError& e) {
        throw usage_error(std::string(e.what()) + " (petnet-bench --help)");
    }
    if (gate_command.parsed()) {
        if (!full) gate.passed_on.insert(gate.passed_on.begin(), "--quick");
        return run_gate_command(gate);
    }
    if (peaks_command.parsed()) return print_peaks(gated);
    std::string command;
    for (int i = 0; i < argc; ++i) command += (i > 0 ? " " : "") + std::string(argv[i]);
    return run_bench(options, command);
}

} // namespace

int main(int argc, char** argv) {
    try {
        return run(argc, argv);
    } catch (const error& e) {
        fmt::print(stderr, "petnet-bench: {}\n", e.what());
        return e.exit_code();
    } catch (const std::exception& e) {
        fmt::print(stderr, "petnet-bench: {}\n", e.what());
        return environment_error("").exit_code();
    }
}
