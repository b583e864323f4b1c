// SPDX-License-Identifier: Apache-2.0
#include "model/plan.hpp"

#include "model/gradient_buckets.hpp"
#include "model/plan_builder.hpp"

#include <algorithm>
#include <stdexcept>
#include <utility>

namespace petnet::model {

const char* name_of(phase p) noexcept {
    switch (p) {
    case phase::frozen:
        return "frozen";
    case phase::unfrozen:
        return "unfrozen";
    case phase::evaluation:
        break;
    }
    return "evaluation";
}

plan::plan(parameters& p, const network& net, const plan_options& options)
    : device_(p.device()), options_(options) {
    plan_builder(*this, p, net).build();
}

void plan::bind(std::byte* memory) {
    const auto place = [&](kernels::tensor_view& view) {
        if (view.slot != 0) view.data = memory + offsets_[view.slot - 1];
    };
    for (node& n : nodes_)
        kernels::for_each_operand(
            n.params, [&](std::string_view, kernels::tensor_view& view, kernels::access) { place(view); });
    for (kernels::tensor_view* view : {&pixels_, &places_, &transforms_, &image_, &target_, &row_keys_,
                                       &settings_, &logits_, &loss_, &row_loss_, &predictions_})
        place(*view);
    for (named_gradient& g : gradients_) place(g.view);
    if (options_.averages != nullptr && options_.kind != phase::evaluation) prepare_averages();
    sequence_ = device_.sequence(prepare_nodes());
    workspace_ = device_.allocate(sequence_->workspace_bytes());
}

// Of what the update reads, and of the loss.
void plan::prepare_averages() {
    std::vector<kernels::tensor_view> tensors{loss_};
    for (const named_gradient& g : gradients_) tensors.push_back(g.view);
    std::vector<ready_gradient> ready;
    for (const kernels::tensor_view& tensor : tensors) {
        ready.push_back({.node = 0, .bytes = device_.storage_bytes(tensor.desc)});
        for (std::size_t i = 0; i < nodes_.size(); ++i)
            kernels::for_each_operand(
                std::as_const(nodes_[i].params),
                [&](std::string_view, const kernels::tensor_view& operand, kernels::access access) {
                    if (operand.slot == tensor.slot && access == kernels::access::write)
                        ready.back().node = i;
                });
    }
    averaging_.clear();
    for (const gradient_bucket& bucket : gradient_buckets(ready, options_.bucket_bytes)) {
        std::vector<kernels::tensor_view> together;
        for (const std::size_t i : bucket.gradients) together.push_back(tensors[i]);
        averaging_.push_back({bucket.after_node, options_.averages->begin(std::move(together))});
    }
    averaged_ = options_.averages->finish();
}

// Averages begin as soon as their gradients are there; the update, which is all that comes after the last of
// them, waits for the end.
std::vector<kernels::operation*> plan::prepare_nodes() {
    std::vector<kernels::operation*> operations;
    auto next = averaging_.begin();
    for (std::size_t i = 0; i < nodes_.size(); ++i) {
        node& n = nodes_[i];
        n.prepared = i + 1 < nodes_.size() ? device_.prepare_pair(n.params, nodes_[i + 1].params) : nullptr;
        if (n.prepared)
            nodes_[++i].prepared = nullptr;
        else
            n.prepared = device_.prepare(n.params);
        operations.push_back(n.prepared.get());
        if (next == averaging_.end()) continue;
        for (; next != averaging_.end() && next->after_node <= i; ++next)
            operations.push_back(next->begin.get());
        if (next == averaging_.end()) operations.push_back(averaged_.get());
    }
    return operations;
}

void plan::execute() { sequence_->execute(workspace_.get()); }

const kernels::tensor_view& plan::gradient(std::string_view name) const {
    const auto found = std::ranges::find(gradients_, name, &named_gradient::name);
    if (found == gradients_.end())
        throw std::logic_error("this plan computes no gradient of " + std::string(name));
    return found->view;
}

} // namespace petnet::model
