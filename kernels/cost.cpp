// SPDX-License-Identifier: Apache-2.0
#include "kernels/cost.hpp"

#include "kernels/area_average.hpp"

namespace petnet::kernels {
namespace {

double count_of(const tensor_view& view) { return static_cast<double>(view.desc.dims.elements()); }

double bytes_of(const tensor_view& view) {
    switch (view.desc.type) {
    case dtype::f32:
    case dtype::i32:
        return 4 * count_of(view);
    case dtype::bf16:
    case dtype::f16:
        return 2 * count_of(view);
    case dtype::u8:
        return count_of(view);
    case dtype::u64:
        break;
    }
    return 8 * count_of(view);
}

double flops_of(const convolution_shape& s) {
    return 2 * static_cast<double>(s.y().elements()) *
           (static_cast<double>(s.w().elements()) / static_cast<double>(s.out_channels));
}

// Divisions count as multiplications; comparisons, exp, log and square roots do not count, nor does the work
// on a single channel beside that on its elements.
double flops_of(const cut_photographs&) { return 0; } // integers
double flops_of(const photo_to_tensor& op) { return 3 * count_of(op.y); }
double flops_of(const sampled_photo_to_tensor& op) {
    const shape &pixels = op.pixels.desc.dims, &y = op.y.desc.dims;
    const double points = count_of(op.y) / 3;
    // Of a point: three sums of two products and two divisions, where it is transformed. Of its elements:
    // three interpolations (difference, product, sum), a difference and a division; a sum, a product, a sum
    // and a division where the light changes. Averaging is a sum for each pixel.
    double flops = 11 * count_of(op.y);
    if (op.transforms.present()) flops += 14 * points + 4 * count_of(op.y);
    const plane_extents photo{pixels[1], pixels[2]};
    if (averaged_extents(photo, {y[2], y[3]}) != photo) flops += count_of(op.pixels);
    return flops;
}
template <class Op> double flops_of_applied_norm(const Op& op) {
    return op.saved.present() ? 2 * count_of(op.x) : 0;
}
double flops_of(const convolution_forward& op) { return flops_of(op.shape) + flops_of_applied_norm(op); }
double flops_of(const convolution_backward_data& op) { return flops_of(op.shape); }
double flops_of(const convolution_backward_weights& op) {
    return flops_of(op.shape) + flops_of_applied_norm(op);
}

template <class Op> double flops_of_applying(const Op& op) {
    return op.y.present() ? (op.residual.present() ? 3 : 2) * count_of(op.x) : 0;
}
double flops_of(const batch_norm_forward& op) {
    return 4 * count_of(op.x) + flops_of_applying(op); // a sum; difference, square and sum
}
double flops_of(const batch_norm_inference& op) { return flops_of_applying(op); }
double flops_of(const batch_norm_backward& op) {
    double each = 5;                           // two of xhat, one of dbeta, two of dgamma
    if (op.dy2.present()) each += 1;           // dy + dy2
    if (op.relu && !op.y.present()) each += 2; // the output again
    if (op.dx.present()) each += 4;            // two differences, two products
    return each * count_of(op.x);
}
double flops_of(const max_pool_forward& op) { return flops_of_applied_norm(op); }
double flops_of(const max_pool_backward& op) { return (op.dy2.present() ? 2 : 1) * count_of(op.dy); }
double flops_of(const concat_pool_forward& op) { return count_of(op.x); }
double flops_of(const concat_pool_backward& op) { return count_of(op.dy); } // a division, a sum
double flops_of(const linear_forward& op) {
    return 2 * count_of(op.y) * static_cast<double>(op.x.desc.dims[1]);
}
double flops_of(const linear_backward& op) {
    return 4 * count_of(op.dy) * static_cast<double>(op.x.desc.dims[1]);
}
double flops_of(const dropout& op) { return count_of(op.x); }
double flops_of(const softmax_cross_entropy& op) {
    return (op.dlogits.present() ? 5 : 2) * count_of(op.logits); // difference, sum; two divisions, difference
}
double flops_of(const loss_scale_update&) { return 0; }
double flops_of(const adam_step& op) {
    double flops = 0;
    for (const adam_parameter& parameter : op.parameters) // 3 for m, 4 for v, 5 for p, 1 for the decay
        flops += (parameter.decay ? 13 : 12) * count_of(parameter.p);
    return flops;
}

} // namespace

op_cost cost_of(const operation_params& op) {
    op_cost cost;
    const auto* inference = std::get_if<batch_norm_inference>(&op);
    for_each_operand(op, [&](std::string_view name, const tensor_view& view, access kind) {
        // Without y it makes `saved` of the running statistics and needs no x.
        if (inference != nullptr && !inference->y.present() && name == "x") return;
        if (kind != access::write) cost.bytes_read += bytes_of(view);
        if (kind != access::read) cost.bytes_written += bytes_of(view);
    });
    // Not the whole store: of each photograph, the least that a square can be made from.
    if (const auto* cut = std::get_if<cut_photographs>(&op))
        cost.bytes_read = bytes_of(cut->places) + bytes_of(cut->pixels);
    cost.flops = std::visit([](const auto& specific) { return flops_of(specific); }, op);
    return cost;
}

} // namespace petnet::kernels
