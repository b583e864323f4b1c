// SPDX-License-Identifier: Apache-2.0
#include "bench/node_timer.hpp"

#include "bench/verification.hpp"

#include <algorithm>
#include <cstdint>
#include <set>
#include <span>

namespace petnet::bench {
namespace {

using namespace kernels;

tensor_view bytes_of(backend& device, const tensor_view& view) {
    return {{dtype::u8, {static_cast<std::int64_t>(device.storage_bytes(view.desc))}}, view.data};
}

// What it reads and then overwrites. (Running statistics and the optimizer's state are updated again and
// again, as in training, which changes no operation's time.)
std::vector<tensor_view> overwritten_inputs(const operation_params& op) {
    std::set<const std::byte*> read;
    for_each_operand(op, [&](std::string_view, const tensor_view& view, access kind) {
        if (kind == access::read) read.insert(view.data);
    });
    std::vector<tensor_view> found;
    for_each_operand(op, [&](std::string_view, const tensor_view& view, access kind) {
        if (kind == access::write && read.contains(view.data)) found.push_back(view);
    });
    return found;
}

// The max_pool_forward of which this plan's backward takes the argmax.
const max_pool_forward* pooled_before(const model::plan& plan, const operation_params& op) {
    const auto* backward = std::get_if<max_pool_backward>(&op);
    if (backward == nullptr) return nullptr;
    for (const model::plan::node& node : plan.nodes())
        if (const auto* forward = std::get_if<max_pool_forward>(&node.params))
            if (forward->argmax.data == backward->argmax.data) return forward;
    return nullptr;
}

} // namespace

node_timer::node_timer(backend& device, const model::plan& plan)
    : device_(device), plan_(plan), workspace_(device.allocate(plan.workspace_bytes())), clock_(device) {}

void node_timer::move_to(std::size_t node) {
    if (node == at_ && copy_count_ > 0) return;
    if (node < at_) at_ = 0, executed_ = false;
    for (; at_ < node; ++at_, executed_ = false)
        if (!executed_) execute();
    overwritten_.clear();
    for (const tensor_view& view : overwritten_inputs(current().params)) {
        const tensor_view memory = bytes_of(device_, view);
        overwritten_.push_back({memory, std::vector<std::byte>(device_.storage_bytes(memory.desc))});
        device_.read_bytes(memory, overwritten_.back().content);
    }
    calibrate();
}

void node_timer::put_back() {
    for (const overwritten& each : overwritten_) device_.write_bytes(each.memory, each.content);
}

std::optional<std::string> node_timer::verify() {
    put_back();
    verification check(device_, current().params, pooled_before(plan_, current().params));
    execute();
    return check.judge();
}

void node_timer::calibrate() {
    constexpr double enough = 2e-3; // seconds: a thousand times what the clock errs by
    constexpr double most_copies = 256;
    operation& work = *current().prepared;
    static_cast<void>(seconds_of(work)); // touches its memory for the first time
    executed_ = true;
    copy_count_ = 1;
    if (overwritten_.empty()) {
        const double once = seconds_of(work);
        copy_count_ = static_cast<std::size_t>(std::clamp(enough / std::max(once, 1e-7), 1.0, most_copies));
    }
    copies_ = device_.sequence(std::vector<operation*>(copy_count_, &work));
    if (overwritten_.empty())
        for (int i = 0; i < 2; ++i) copies_->execute(workspace_.get()); // a GPU records, then replays them
}

double node_timer::hot() {
    if (overwritten_.empty()) return seconds_of(*copies_) / static_cast<double>(copy_count_);
    put_back();
    return seconds_of(*current().prepared);
}

double node_timer::cold() {
    put_back();
    for_each_operand(current().params, [&](std::string_view, const tensor_view& view, access) {
        evict(device_, {view.data, device_.storage_bytes(view.desc)});
    });
    evict(device_, {workspace_.get(), plan_.workspace_bytes()});
    return seconds_of(*current().prepared);
}

} // namespace petnet::bench
