// SPDX-License-Identifier: Apache-2.0
// Where the time of a step goes: each operation's time, what it achieves, and what the device can at best.
//
// An operation is timed alone (operation_timer.hpp). It finds its inputs as the step leaves them for it,
// those that fit in the caches in the caches, as they mostly are when the operation before has just written
// them. Operations of one kind and shape are timed once; two that the device does as one are one line. Bytes
// and FLOPs are those of kernels/cost.hpp: what has to be moved and computed at least, by each of the two.
#include "bench/operation_timer.hpp"
#include "bench/step_under_test.hpp"
#include "kernels/cost.hpp"

#include <algorithm>
#include <cstdio>
#include <exception>
#include <fmt/format.h>
#include <fstream>
#include <functional>
#include <map>
#include <nlohmann/json.hpp>
#include <set>
#include <span>
#include <stdexcept>
#include <string>
#include <vector>

namespace {

using namespace petnet;

struct peaks {
    double gb_per_s = 0, gflop_per_s = 0; // 0: not known
    // What the operation would take if it did nothing but move its bytes, or compute.
    [[nodiscard]] double floor_of(const kernels::op_cost& cost) const {
        const double moving = gb_per_s > 0 ? 1e-9 * (cost.bytes_read + cost.bytes_written) / gb_per_s : 0;
        return std::max(moving, gflop_per_s > 0 ? 1e-9 * cost.flops / gflop_per_s : 0);
    }
};

struct row {
    std::string kind, first_layer, shapes;
    int count = 0;
    double seconds = 0; // of one
    kernels::op_cost cost;
    [[nodiscard]] double bytes() const { return cost.bytes_read + cost.bytes_written; }
};

// Operations of which this is the same take the same time.
std::string signature(const kernels::operation_params& op) {
    std::string text(kernels::name_of(op));
    kernels::for_each_operand(op,
                              [&](std::string_view name, const kernels::tensor_view& view, kernels::access) {
                                  text += fmt::format(" {} {}", name, view.desc.dims.text());
                              });
    return text;
}

// The operands as they matter to a reader: not the vectors of parameters beside them.
std::string shapes_of(const kernels::operation_params& op) {
    std::string text;
    int shown = 0;
    kernels::for_each_operand(
        op, [&](std::string_view name, const kernels::tensor_view& view, kernels::access) {
            if (view.desc.dims.rank() < 2 || name == "saved" || ++shown > 3) return;
            text += fmt::format("{}{} {}", text.empty() ? "" : ", ", name, view.desc.dims.text());
        });
    return text;
}

// Executed twice, it works on its own results: what comes after needs the step from its beginning again.
bool changes_its_inputs(const kernels::operation_params& op) {
    std::set<const std::byte*> read;
    bool changes = false;
    kernels::for_each_operand(op,
                              [&](std::string_view, const kernels::tensor_view& view, kernels::access kind) {
                                  if (kind != kernels::access::write) read.insert(view.data);
                                  if (kind == kernels::access::update) changes = true;
                              });
    kernels::for_each_operand(op,
                              [&](std::string_view, const kernels::tensor_view& view, kernels::access kind) {
                                  if (kind == kernels::access::write && read.contains(view.data))
                                      changes = true;
                              });
    return changes;
}

// A node of the plan, or two that are prepared as one.
struct step_part {
    std::string kind, label, signature, shapes;
    kernels::op_cost cost;
    bool changes_its_inputs = false;
    kernels::operation* prepared = nullptr;

    void add(const model::plan::node& node) {
        const std::string separator = prepared != nullptr ? " + " : "";
        kind += separator + std::string(kernels::name_of(node.params));
        signature += separator + ::signature(node.params);
        shapes += separator + shapes_of(node.params);
        const kernels::op_cost more = kernels::cost_of(node.params);
        cost.bytes_read += more.bytes_read;
        cost.bytes_written += more.bytes_written;
        cost.flops += more.flops;
        changes_its_inputs = changes_its_inputs || ::changes_its_inputs(node.params);
        if (node.prepared) prepared = node.prepared.get(), label = node.label;
    }
};

std::vector<step_part> parts_of(const model::plan& plan) {
    std::vector<step_part> parts;
    for (const model::plan::node& node : plan.nodes()) {
        if (node.prepared) parts.emplace_back();
        parts.back().add(node);
    }
    return parts;
}

std::vector<row> rows_of(bench::operation_timer& timer, const std::vector<step_part>& parts) {
    std::vector<row> found;
    std::map<std::string, std::size_t> known;
    for (std::size_t i = 0; i < parts.size(); ++i) {
        const step_part& part = parts[i];
        const auto [at, is_new] = known.try_emplace(part.signature, found.size());
        if (is_new) {
            found.push_back(
                {part.kind, part.label, part.shapes, 0, timer.seconds_of(*part.prepared), part.cost});
            if (timer.repeated() && part.changes_its_inputs)
                for (std::size_t before = 0; before <= i; ++before) timer.execute(*parts[before].prepared);
        } else {
            timer.execute(*part.prepared);
        }
        ++found[at->second].count;
    }
    return found;
}

std::string percent(double part, double whole) {
    return whole > 0 ? fmt::format("{:.1f}", 100 * part / whole) : "-";
}

void print_row(const std::string& first_cells, double seconds, double all, double bytes, double flops,
               const peaks& best) {
    const double gb = 1e-9 * bytes / seconds, gflop = 1e-9 * flops / seconds;
    fmt::print("| {} | {:.3f} | {} | {:.0f} | {} | {:.0f} | {} |\n", first_cells, 1e3 * seconds,
               percent(seconds, all), gb, percent(gb, best.gb_per_s), gflop,
               percent(gflop, best.gflop_per_s));
}

struct step_times {
    double waiting, pipelined, uploading;
};

void print(const bench::step_options& options, const bench::step_under_test& tested, std::vector<row> rows,
           const step_times& step, const peaks& best) {
    std::ranges::sort(rows, std::greater{}, [](const row& r) { return r.seconds * r.count; });
    double all = 0, floor = 0;
    std::map<std::string, row> kinds;
    for (const row& r : rows) {
        all += r.seconds * r.count;
        floor += best.floor_of(r.cost) * r.count;
        row& kind = kinds[r.kind];
        kind.count += r.count;
        kind.seconds += r.seconds * r.count;
        kind.cost.bytes_read += r.bytes() * r.count;
        kind.cost.flops += r.cost.flops * r.count;
    }
    constexpr const char* columns = "ms | % | GB/s | % of peak | GFLOP/s | % of peak |";
    fmt::print("### {}, {}, batch {}, {}x{}\n\n", options.phase, options.precision, options.batch,
               options.size, options.size);
    fmt::print("| operation | count | {}\n|---|---|---|---|---|---|---|---|\n", columns);
    for (const auto& [name, kind] : kinds)
        print_row(fmt::format("{} | {}", name, kind.count), kind.seconds, all, kind.bytes(), kind.cost.flops,
                  best);
    fmt::print("\n| operation | first layer | shapes | count | us each | {}\n"
               "|---|---|---|---|---|---|---|---|---|---|---|\n",
               columns);
    for (const row& r : rows)
        print_row(fmt::format("{} | {} | {} | {} | {:.1f}", r.kind, r.first_layer, r.shapes, r.count,
                              1e6 * r.seconds),
                  r.seconds * r.count, all, r.bytes() * r.count, r.cost.flops * r.count, best);
    const auto images = static_cast<double>(options.batch);
    fmt::print("\n- step {:.3f} ms, {:.0f} images/s: each prepared while the device works on the last\n",
               1e3 * step.pipelined, images / step.pipelined);
    fmt::print("- {:.3f} ms, {:.0f} images/s: the same, its photographs uploaded each time\n",
               1e3 * step.uploading, images / step.uploading);
    fmt::print("- {:.3f} ms, {:.0f} images/s: the host waits for each step's loss\n", 1e3 * step.waiting,
               images / step.waiting);
    fmt::print("- sum of the operations {:.3f} ms\n", 1e3 * all);
    fmt::print("- step less the operations: {:.1f} % of the step\n",
               100 * (step.pipelined - all) / step.pipelined);
    if (floor > 0)
        fmt::print("- moving and computing at the measured peaks: {:.3f} ms, {:.1f} % of the step\n",
                   1e3 * floor, 100 * floor / step.pipelined);
    fmt::print("- tensors {:.0f} MB, workspace {:.0f} MB, prepared in {:.1f} s\n\n",
               1e-6 * static_cast<double>(tested.plan().memory_bytes()),
               1e-6 * static_cast<double>(tested.plan().workspace_bytes()), tested.seconds_to_prepare());
}

void write_json(const std::string& file, const bench::step_options& options, bench::step_under_test& tested,
                const std::vector<row>& rows, const step_times& step, const peaks& best, double empty) {
    nlohmann::json record{{"device", tested.device().device()},
                          {"phase", options.phase},
                          {"precision", options.precision},
                          {"batch", options.batch},
                          {"fuse", options.fuse},
                          {"size", options.size},
                          {"seconds_pipelined", step.pipelined},
                          {"seconds_uploading", step.uploading},
                          {"seconds_waiting", step.waiting},
                          {"seconds_of_two_marks", empty},
                          {"seconds_to_prepare", tested.seconds_to_prepare()},
                          {"peak_gb_per_s", best.gb_per_s},
                          {"peak_gflop_per_s", best.gflop_per_s},
                          {"operations", nlohmann::json::array()}};
    for (const row& r : rows)
        record["operations"].push_back({{"kind", r.kind},
                                        {"first_layer", r.first_layer},
                                        {"shapes", r.shapes},
                                        {"count", r.count},
                                        {"seconds", r.seconds},
                                        {"bytes", r.bytes()},
                                        {"flops", r.cost.flops}});
    std::ofstream to(file);
    to << record.dump() << '\n';
    if (!to.flush()) throw std::runtime_error("cannot write " + file);
}

int run(int argc, char** argv) {
    CLI::App program("Where the time of a step goes, by operation: a Markdown table.", "profile_step");
    bench::step_options options;
    bench::add_options(program, options);
    peaks best;
    std::string json;
    program.add_option("--peak-gbs", best.gb_per_s, "GB/s of a copy on this device, read and written");
    program.add_option("--peak-gflops", best.gflop_per_s,
                       "GFLOP/s of a large matrix product in this precision");
    program.add_option("--json", json, "a file for the same as one line of JSON");
    CLI11_PARSE(program, argc, argv);

    bench::step_under_test tested(options);
    double once = 0;
    for (int i = 0; i < 3; ++i) once = tested.step(); // primitives, recording, clocks
    const int steps = std::clamp(static_cast<int>(0.2 / once), 1, 100);
    std::vector<double> waiting, pipelined, uploading;
    for (int round = 0; round < 5; ++round) {
        double sum = 0;
        for (int i = 0; i < steps; ++i) sum += tested.step();
        waiting.push_back(sum / steps);
        pipelined.push_back(tested.steps_in_a_row(steps, false) / steps);
        uploading.push_back(tested.steps_in_a_row(steps, true) / steps);
    }
    const step_times step{bench::median(waiting), bench::median(pipelined), bench::median(uploading)};
    bench::operation_timer timer(tested.device(), tested.plan().workspace_bytes());
    const std::vector<row> rows = rows_of(timer, parts_of(tested.plan()));
    print(options, tested, rows, step, best);
    if (!json.empty()) write_json(json, options, tested, rows, step, best, timer.empty());
    return 0;
}

} // namespace

int main(int argc, char** argv) {
    try {
        return run(argc, argv);
    } catch (const std::exception& e) {
        std::fprintf(stderr, "profile_step: %s\n", e.what());
        return 1;
    }
}
