// SPDX-License-Identifier: Apache-2.0
#include "model/plan.hpp"

#include "model/plan_builder.hpp"

#include <algorithm>
#include <stdexcept>

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
    sequence_ = device_.sequence(prepare_nodes());
    workspace_ = device_.allocate(sequence_->workspace_bytes());
}

std::vector<kernels::operation*> plan::prepare_nodes() {
    std::vector<kernels::operation*> operations;
    for (std::size_t i = 0; i < nodes_.size(); ++i) {
        node& n = nodes_[i];
        n.prepared = i + 1 < nodes_.size() ? device_.prepare_pair(n.params, nodes_[i + 1].params) : nullptr;
        if (n.prepared)
            nodes_[++i].prepared = nullptr;
        else
            n.prepared = device_.prepare(n.params);
        operations.push_back(n.prepared.get());
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
