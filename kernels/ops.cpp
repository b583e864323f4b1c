// SPDX-License-Identifier: Apache-2.0
// Names and operands of the operations, as tables: every walk over operands goes through them.
#include "kernels/ops.hpp"

#include <type_traits>

namespace petnet::kernels {
namespace {

template <class Op> struct operand {
    std::string_view name;
    tensor_view Op::*view;
    access kind;
};

template <class Op, std::size_t Count> struct description {
    std::string_view name;
    std::array<operand<Op>, Count> operands;
};

template <class Op, std::size_t Count>
consteval description<Op, Count> describe_as(std::string_view name, const operand<Op> (&operands)[Count]) {
    return {name, std::to_array(operands)};
}

constexpr access read = access::read, write = access::write, update = access::update;

consteval auto describe(std::type_identity<cut_photographs>) {
    using op = cut_photographs;
    return describe_as<op>("cut_photographs", {{"store", &op::store, read},
                                               {"tables", &op::tables, read},
                                               {"places", &op::places, read},
                                               {"pixels", &op::pixels, write}});
}
consteval auto describe(std::type_identity<photo_to_tensor>) {
    using op = photo_to_tensor;
    return describe_as<op>("photo_to_tensor", {{"pixels", &op::pixels, read}, {"y", &op::y, write}});
}
consteval auto describe(std::type_identity<sampled_photo_to_tensor>) {
    using op = sampled_photo_to_tensor;
    return describe_as<op>(
        "sampled_photo_to_tensor",
        {{"pixels", &op::pixels, read}, {"transforms", &op::transforms, read}, {"y", &op::y, write}});
}
consteval auto describe(std::type_identity<convolution_forward>) {
    using op = convolution_forward;
    return describe_as<op>(
        "convolution_forward",
        {{"x", &op::x, read}, {"w", &op::w, read}, {"y", &op::y, write}, {"saved", &op::saved, read}});
}
consteval auto describe(std::type_identity<convolution_backward_data>) {
    using op = convolution_backward_data;
    return describe_as<op>("convolution_backward_data",
                           {{"dy", &op::dy, read}, {"w", &op::w, read}, {"dx", &op::dx, write}});
}
consteval auto describe(std::type_identity<convolution_backward_weights>) {
    using op = convolution_backward_weights;
    return describe_as<op>(
        "convolution_backward_weights",
        {{"x", &op::x, read}, {"dy", &op::dy, read}, {"dw", &op::dw, write}, {"saved", &op::saved, read}});
}
consteval auto describe(std::type_identity<batch_norm_forward>) {
    using op = batch_norm_forward;
    return describe_as<op>("batch_norm_forward", {{"x", &op::x, read},
                                                  {"gamma", &op::gamma, read},
                                                  {"beta", &op::beta, read},
                                                  {"running_mean", &op::running_mean, update},
                                                  {"running_variance", &op::running_variance, update},
                                                  {"residual", &op::residual, read},
                                                  {"y", &op::y, write},
                                                  {"saved", &op::saved, write}});
}
consteval auto describe(std::type_identity<batch_norm_inference>) {
    using op = batch_norm_inference;
    return describe_as<op>("batch_norm_inference", {{"x", &op::x, read},
                                                    {"gamma", &op::gamma, read},
                                                    {"beta", &op::beta, read},
                                                    {"running_mean", &op::running_mean, read},
                                                    {"running_variance", &op::running_variance, read},
                                                    {"residual", &op::residual, read},
                                                    {"y", &op::y, write},
                                                    {"saved", &op::saved, write}});
}
consteval auto describe(std::type_identity<batch_norm_backward>) {
    using op = batch_norm_backward;
    return describe_as<op>("batch_norm_backward", {{"dy", &op::dy, read},
                                                   {"dy2", &op::dy2, read},
                                                   {"x", &op::x, read},
                                                   {"y", &op::y, read},
                                                   {"gamma", &op::gamma, read},
                                                   {"saved", &op::saved, read},
                                                   {"dx", &op::dx, write},
                                                   {"dgamma", &op::dgamma, write},
                                                   {"dbeta", &op::dbeta, write},
                                                   {"dresidual", &op::dresidual, write}});
}
consteval auto describe(std::type_identity<max_pool_forward>) {
    using op = max_pool_forward;
    return describe_as<op>("max_pool_forward", {{"x", &op::x, read},
                                                {"saved", &op::saved, read},
                                                {"y", &op::y, write},
                                                {"argmax", &op::argmax, write}});
}
consteval auto describe(std::type_identity<max_pool_backward>) {
    using op = max_pool_backward;
    return describe_as<op>("max_pool_backward", {{"dy", &op::dy, read},
                                                 {"dy2", &op::dy2, read},
                                                 {"argmax", &op::argmax, read},
                                                 {"dx", &op::dx, write}});
}
consteval auto describe(std::type_identity<concat_pool_forward>) {
    using op = concat_pool_forward;
    return describe_as<op>("concat_pool_forward",
                           {{"x", &op::x, read}, {"y", &op::y, write}, {"argmax", &op::argmax, write}});
}
consteval auto describe(std::type_identity<concat_pool_backward>) {
    using op = concat_pool_backward;
    return describe_as<op>("concat_pool_backward",
                           {{"dy", &op::dy, read}, {"argmax", &op::argmax, read}, {"dx", &op::dx, write}});
}
consteval auto describe(std::type_identity<linear_forward>) {
    using op = linear_forward;
    return describe_as<op>("linear_forward",
                           {{"x", &op::x, read}, {"w", &op::w, read}, {"y", &op::y, write}});
}
consteval auto describe(std::type_identity<linear_backward>) {
    using op = linear_backward;
    return describe_as<op>("linear_backward", {{"x", &op::x, read},
                                               {"w", &op::w, read},
                                               {"y", &op::y, read},
                                               {"dy", &op::dy, update},
                                               {"dx", &op::dx, write},
                                               {"dw", &op::dw, write}});
}
consteval auto describe(std::type_identity<dropout>) {
    using op = dropout;
    return describe_as<op>("dropout",
                           {{"x", &op::x, read}, {"row_keys", &op::row_keys, read}, {"y", &op::y, write}});
}
consteval auto describe(std::type_identity<softmax_cross_entropy>) {
    using op = softmax_cross_entropy;
    return describe_as<op>("softmax_cross_entropy", {{"logits", &op::logits, read},
                                                     {"target", &op::target, read},
                                                     {"loss", &op::loss, write},
                                                     {"row_loss", &op::row_loss, write},
                                                     {"predictions", &op::predictions, write},
                                                     {"dlogits", &op::dlogits, write},
                                                     {"loss_scale", &op::loss_scale, read}});
}
consteval auto describe(std::type_identity<loss_scale_update>) {
    using op = loss_scale_update;
    return describe_as<op>("loss_scale_update", {{"state", &op::state, update}});
}
// One of the many tensors of an adam_step; its settings come after them.
consteval auto describe(std::type_identity<adam_parameter>) {
    using op = adam_parameter;
    return describe_as<op>(
        "adam_parameter",
        {{"p", &op::p, update}, {"g", &op::g, read}, {"m", &op::m, update}, {"v", &op::v, update}});
}
consteval auto describe(std::type_identity<adam_step>) {
    using op = adam_step;
    return describe_as<op>("adam_step",
                           {{"settings", &op::settings, read}, {"loss_scale", &op::loss_scale, read}});
}

template <class Op> constexpr auto description_of = describe(std::type_identity<std::remove_const_t<Op>>{});

template <class Op, class Visit> void visit_present(Op& op, const Visit& visit) {
    for (const auto& [name, view, kind] : description_of<Op>.operands)
        if ((op.*view).present()) visit(name, op.*view, kind);
}

template <class Params, class Visit> void visit_operands(Params& op, const Visit& visit) {
    std::visit(
        [&](auto& specific) {
            if constexpr (requires { specific.parameters; })
                for (auto& parameter : specific.parameters) visit_present(parameter, visit);
            if constexpr (requires { specific.gradients; })
                for (auto& gradient : specific.gradients) visit("gradient", gradient, access::read);
            visit_present(specific, visit);
        },
        op);
}

} // namespace

std::string_view name_of(const operation_params& op) {
    return std::visit([]<class Op>(const Op&) { return description_of<Op>.name; }, op);
}

bool convolves_through_norm(const operation_params& op) {
    if (const auto* forward = std::get_if<convolution_forward>(&op)) return forward->saved.present();
    const auto* weights = std::get_if<convolution_backward_weights>(&op);
    return weights != nullptr && weights->saved.present();
}

void for_each_operand(operation_params& op,
                      const std::function<void(std::string_view, tensor_view&, access)>& visit) {
    visit_operands(op, visit);
}

void for_each_operand(const operation_params& op,
                      const std::function<void(std::string_view, const tensor_view&, access)>& visit) {
    visit_operands(op, visit);
}

} // namespace petnet::kernels
