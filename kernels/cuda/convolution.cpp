// SPDX-License-Identifier: Apache-2.0
// The operations of convolution, from views to the tensors as they are stored. How one is computed is behind
// `convolutions`: no cuDNN here.
#include "kernels/cuda/convolution.hpp"

#include "kernels/cuda/batch_norm_from_sums.hpp"
#include "kernels/cuda/context.hpp"
#include "kernels/cuda/launch.hpp"
#include "kernels/cuda/layout.hpp"

#include <fmt/format.h>
#include <stdexcept>
#include <utility>

namespace petnet::kernels::cuda {
namespace {

const char* name_of(convolution_kind kind) {
    switch (kind) {
    case convolution_kind::forward:
        return "forward";
    case convolution_kind::backward_data:
        return "backward data";
    case convolution_kind::backward_weights:
        return "backward weights";
    case convolution_kind::forward_and_sums:
        return "forward and sums";
    case convolution_kind::backward_data_and_sums:
        break;
    }
    return "backward data and sums";
}

stored_convolution problem_of(convolution_kind kind, convolution_shape shape, const tensor_view& x,
                              const tensor_view& y, const tensor_view& w) {
    shape.in_channels = stored_channels(x.desc);
    shape.out_channels = stored_channels(y.desc);
    if (!is_weights(w.desc) || stored_channels(w.desc) != shape.in_channels ||
        has_rounded_copy(w.desc) != (x.desc.type != dtype::f32))
        throw std::logic_error(
            fmt::format("convolution {}: the weights' layout {} is not that of {} activations "
                        "with {} stored channels",
                        name_of(kind), w.desc.layout, name_of(x.desc.type), shape.in_channels));
    return {kind, shape, x.desc.type};
}

// The weights that activations of their dtype are multiplied with.
const std::byte* operand(const tensor_view& w) {
    return w.data + (has_rounded_copy(w.desc) ? rounded_copy_offset(w.desc) : 0);
}

std::unique_ptr<operation> make(context& cuda, const stored_operation& op,
                                std::shared_ptr<convolution_plan> plan) {
    const std::size_t workspace_bytes = plan->workspace_bytes();
    return make_operation(workspace_bytes,
                          [plan = std::move(plan), on = op.on, stream = cuda.stream()](std::byte* workspace) {
                              plan->execute(on, workspace, stream);
                          });
}
std::unique_ptr<operation> make(context& cuda, const stored_operation& op) {
    return make(cuda, op, cuda.convolve().plan(op.problem));
}

// What is read through a batch norm comes into the workspace first.
template <class Op> std::unique_ptr<operation> make_applied(context& cuda, Op op) {
    const tensor_view x = op.x, saved = std::exchange(op.saved, {});
    const stored_operation of_applied = stored(op);
    std::shared_ptr<convolution_plan> plan = cuda.convolve().plan(of_applied.problem);
    const std::size_t x_bytes = aligned(stored_bytes(x.desc));
    const std::size_t workspace_bytes = x_bytes + plan->workspace_bytes();
    return make_operation(workspace_bytes, [=, plan = std::move(plan), on = of_applied.on,
                                            stream = cuda.stream()](std::byte* workspace) mutable {
        apply_saved(stream, x, saved, workspace);
        on.a = workspace;
        plan->execute(on, workspace + x_bytes, stream);
    });
}

template <class Op> stored_operation through_norm(stored_operation operation, const Op& op) {
    if (!op.saved.present()) return operation;
    operation.problem.through_norm = true;
    operation.on.scale_and_shift =
        op.saved.data + static_cast<std::size_t>(2 * op.saved.desc.dims[1]) * sizeof(float);
    return operation;
}

} // namespace

std::string text_of(const stored_convolution& problem) {
    const convolution_shape& s = problem.shape;
    return fmt::format("{} {} to {} by {}x{}, stride {}, padding {}, {}{}", name_of(problem.kind),
                       s.x().text(), s.out_channels, s.kernel, s.kernel, s.stride, s.padding,
                       name_of(problem.activations), problem.through_norm ? ", through a batch norm" : "");
}

stored_operation stored(const convolution_forward& op, convolution_kind kind) {
    return through_norm({problem_of(kind, op.shape, op.x, op.y, op.w),
                         {.a = op.x.data, .b = operand(op.w), .result = op.y.data}},
                        op);
}
stored_operation stored(const convolution_backward_data& op, convolution_kind kind) {
    return {problem_of(kind, op.shape, op.dx, op.dy, op.w),
            {.a = op.dy.data, .b = operand(op.w), .result = op.dx.data}};
}
stored_operation stored(const convolution_backward_weights& op) {
    return through_norm({problem_of(convolution_kind::backward_weights, op.shape, op.x, op.dy, op.dw),
                         {.a = op.x.data, .b = op.dy.data, .result = op.dw.data}},
                        op);
}

// cuDNN reads through a batch norm where the convolution brings sums as well: fused_pairs.hpp.
std::unique_ptr<operation> prepare(context& cuda, const convolution_forward& op) {
    return op.saved.present() ? make_applied(cuda, op) : make(cuda, stored(op));
}
std::unique_ptr<operation> prepare(context& cuda, const convolution_backward_data& op) {
    return make(cuda, stored(op));
}
std::unique_ptr<operation> prepare(context& cuda, const convolution_backward_weights& op) {
    if (!op.saved.present()) return make(cuda, stored(op));
    if (has_whole_rows(op.x.desc))
        if (auto plan = cuda.convolve().plan(stored(op).problem))
            return make(cuda, stored(op), std::move(plan));
    return make_applied(cuda, op);
}

} // namespace petnet::kernels::cuda
