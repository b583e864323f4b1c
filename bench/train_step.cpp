// SPDX-License-Identifier: Apache-2.0
// Times steps of training or evaluation. Each line on standard input asks for some, each answer is one line
// of JSON, so that another program can take turns with this one:
//   N             {"seconds": [...]} of N steps, the host waiting for each one's loss
//   pipelined N   {"steps": N, "seconds": s}: N steps, each prepared while the device works on the last
//   uploading N   the same, each step with its photographs uploaded
// At the end of the input one line with the peak of resident memory, the pairs of operations done as one and
// the operations that read through a batch norm.
#include "bench/step_under_test.hpp"

#include <algorithm>
#include <cstdio>
#include <exception>
#include <iostream>
#include <sstream>
#include <stdexcept>
#include <sys/resource.h>

namespace {

using namespace petnet;

void answer(bench::step_under_test& tested, const std::string& line) {
    std::istringstream words(line);
    std::string kind;
    int count = 0;
    words >> kind;
    const bool each = kind.find_first_not_of("0123456789") == std::string::npos;
    if (each)
        count = std::stoi(kind);
    else
        words >> count;
    if (count < 1 || (!each && kind != "pipelined" && kind != "uploading"))
        throw std::runtime_error("expected N, pipelined N or uploading N, not: " + line);
    if (each) {
        std::string seconds;
        for (int i = 0; i < count; ++i) seconds += (i > 0 ? ", " : "") + std::to_string(tested.step());
        std::printf("{\"seconds\": [%s]}\n", seconds.c_str());
    } else {
        std::printf("{\"steps\": %d, \"seconds\": %.6f}\n", count,
                    tested.steps_in_a_row(count, kind == "uploading"));
    }
    std::fflush(stdout);
}

int run(int argc, char** argv) {
    CLI::App program("Times steps of training or evaluation; what to time comes by standard input.",
                     "train_step");
    bench::step_options options;
    bench::add_options(program, options);
    CLI11_PARSE(program, argc, argv);
    bench::step_under_test tested(options);
    for (std::string line; std::getline(std::cin, line);) answer(tested, line);
    rusage usage{};
    ::getrusage(RUSAGE_SELF, &usage);
    const auto& nodes = tested.plan().nodes();
    const auto fused =
        std::ranges::count_if(nodes, [](const auto& node) { return node.prepared == nullptr; });
    const auto through_norms = std::ranges::count_if(
        nodes, [](const auto& node) { return kernels::convolves_through_norm(node.params); });
    std::printf("{\"peak_rss_mb\": %.1f, \"fused_pairs\": %td, \"through_norms\": %td}\n",
                static_cast<double>(usage.ru_maxrss) / 1e3, fused, through_norms);
    return 0;
}

} // namespace

int main(int argc, char** argv) {
    try {
        return run(argc, argv);
    } catch (const std::exception& e) {
        std::fprintf(stderr, "train_step: %s\n", e.what());
        return 1;
    }
}
