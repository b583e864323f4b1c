// SPDX-License-Identifier: Apache-2.0
// One step of training or evaluation on random photographs, from random weights.
// usage: train_step PHASE BATCH SIZE PRECISION THREADS [profile]
//   PHASE frozen, unfrozen or evaluation; PRECISION fp32 or bf16
// For each number N on standard input: N steps, then one line of JSON with the seconds of each. At the end of
// the input one line with the peak of resident memory. That way another program can take turns with this one.
// With `profile`: a table of seconds by operation over ten steps instead.
#include "base/random.hpp"
#include "kernels/backend.hpp"
#include "kernels/cost.hpp"
#include "model/plan.hpp"
#include "train/schedule.hpp"

#include <chrono>
#include <cstdio>
#include <exception>
#include <iostream>
#include <map>
#include <span>
#include <string>
#include <sys/resource.h>
#include <vector>

namespace {

using namespace petnet;
using clock_type = std::chrono::steady_clock;

double seconds_since(clock_type::time_point start) {
    return std::chrono::duration<double>(clock_type::now() - start).count();
}

model::phase phase_named(const std::string& name) {
    for (const model::phase p : {model::phase::frozen, model::phase::unfrozen, model::phase::evaluation})
        if (name == model::name_of(p)) return p;
    throw std::runtime_error("no such phase: " + name);
}

class bench {
  public:
    bench(model::phase kind, std::int64_t batch, std::int64_t size, kernels::dtype activations, int threads)
        : device_(kernels::make_backend("auto", {threads, {}})),
          network_(model::make_resnet({})),
          parameters_(*device_, network_, activations),
          plan_(parameters_, network_,
                {.kind = kind, .batch = batch, .height = size, .width = size, .activations = activations}),
          memory_(device_->allocate(plan_.memory_bytes())) {
        model::initialise(parameters_, 1);
        plan_.bind(memory_.get());
        const random_key key(2);
        std::vector<std::byte> pixels(static_cast<std::size_t>(batch * size * size * 3));
        for (std::size_t i = 0; i < pixels.size(); ++i) pixels[i] = static_cast<std::byte>(key.bits(i));
        device_->write_bytes(plan_.pixels(), pixels);
        std::vector<std::int32_t> target(static_cast<std::size_t>(batch));
        for (std::size_t i = 0; i < target.size(); ++i) target[i] = static_cast<std::int32_t>(i % 2);
        device_->write_bytes(plan_.target(), std::as_bytes(std::span(target)));
        if (kind == model::phase::evaluation) return;
        std::vector<std::uint64_t> keys(target.size());
        for (std::size_t i = 0; i < keys.size(); ++i) keys[i] = key.child(i).value();
        device_->write_bytes(plan_.row_keys(), std::as_bytes(std::span(keys)));
        const train::hyperparameters hyper{{1e-5, 1e-5, 1e-4}, 0.9};
        device_->write(plan_.settings(), std::span<const double>(train::adam_settings(hyper, 1)));
    }

    double step() {
        const auto start = clock_type::now();
        plan_.execute();
        float loss = 0;
        device_->read(plan_.loss(), std::span<float>(&loss, 1));
        return seconds_since(start);
    }

    void profile() {
        constexpr int steps = 10;
        struct row {
            double seconds = 0, bytes = 0, flops = 0;
        };
        std::map<std::string, row> rows;
        const kernels::device_memory workspace = device_->allocate(plan_.workspace_bytes());
        for (int i = 0; i < steps; ++i)
            for (const model::plan::node& node : plan_.nodes()) {
                const auto start = clock_type::now();
                node.prepared->execute(workspace.get());
                row& r = rows[std::string(kernels::name_of(node.params))];
                r.seconds += seconds_since(start) / steps;
                const kernels::op_cost cost = kernels::cost_of(node.params);
                r.bytes += (cost.bytes_read + cost.bytes_written) / steps;
                r.flops += cost.flops / steps;
            }
        double total = 0;
        for (const auto& [name, r] : rows) total += r.seconds;
        for (const auto& [name, r] : rows)
            std::printf("%-28s %8.2f ms %5.1f %%  %7.1f GFLOP/s %6.1f GB/s\n", name.c_str(), 1e3 * r.seconds,
                        100 * r.seconds / total, 1e-9 * r.flops / r.seconds, 1e-9 * r.bytes / r.seconds);
        std::printf("%-28s %8.2f ms, tensors %.0f MB, workspace %.0f MB\n", "all", 1e3 * total,
                    1e-6 * static_cast<double>(plan_.memory_bytes()),
                    1e-6 * static_cast<double>(plan_.workspace_bytes()));
    }

  private:
    std::unique_ptr<kernels::backend> device_;
    model::network network_;
    model::parameters parameters_;
    model::plan plan_;
    kernels::device_memory memory_;
};

int run(std::span<char*> arguments) {
    if (arguments.size() < 6) {
        std::fputs("usage: train_step frozen|unfrozen|evaluation BATCH SIZE fp32|bf16 THREADS [profile]\n",
                   stderr);
        return 2;
    }
    const auto activations = std::string(arguments[4]) == "bf16" ? kernels::dtype::bf16 : kernels::dtype::f32;
    bench b(phase_named(arguments[1]), std::stol(arguments[2]), std::stol(arguments[3]), activations,
            std::stoi(arguments[5]));
    if (arguments.size() > 6) {
        b.step();
        b.profile();
        return 0;
    }
    for (int count = 0; std::cin >> count;) {
        std::string line;
        for (int i = 0; i < count; ++i) line += (i > 0 ? ", " : "") + std::to_string(b.step());
        std::printf("{\"seconds\": [%s]}\n", line.c_str());
        std::fflush(stdout);
    }
    rusage usage{};
    ::getrusage(RUSAGE_SELF, &usage);
    std::printf("{\"peak_rss_mb\": %.1f}\n", static_cast<double>(usage.ru_maxrss) / 1e3);
    return 0;
}

} // namespace

int main(int argc, char** argv) {
    try {
        return run({argv, static_cast<std::size_t>(argc)});
    } catch (const std::exception& e) {
        std::fprintf(stderr, "train_step: %s\n", e.what());
        return 1;
    }
}
