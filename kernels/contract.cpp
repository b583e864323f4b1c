// SPDX-License-Identifier: Apache-2.0
// The rules of ops.hpp on presence, ranks, extents, dtypes and shared memory, checked.
#include "kernels/ops.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <functional>
#include <stdexcept>
#include <string>
#include <utility>

namespace petnet::kernels {
namespace {

class checker {
  public:
    explicit checker(std::string_view operation) : operation_(operation) {}

    void require(bool holds, std::string_view rule, std::string_view actual) const {
        if (!holds) throw std::logic_error(fmt::format("{}: {}; got {}", operation_, rule, actual));
    }
    void require(bool holds, std::string_view rule, std::int64_t actual) const {
        require(holds, rule, std::to_string(actual));
    }

    void tensor(std::string_view name, const tensor_view& view, dtype type, const shape& dims) const {
        require(view.present(), fmt::format("{} must be there", name), "none");
        optional(name, view, type, dims);
    }
    void optional(std::string_view name, const tensor_view& view, dtype type, const shape& dims) const {
        if (!view.present()) return;
        require(view.desc.type == type && view.desc.dims == dims,
                fmt::format("{} must be {} {}", name, name_of(type), dims.text()),
                fmt::format("{} {}", name_of(view.desc.type), view.desc.dims.text()));
    }
    // Rank, dtype, and no empty extent; `dims` of other operands follow from this one.
    void activation(std::string_view name, const tensor_view& view) const {
        leading(name, view, 4);
        require(is_floating(view.desc.type), fmt::format("{} must be f32, bf16 or f16", name),
                name_of(view.desc.type));
    }
    void features(std::string_view name, const tensor_view& view) const {
        leading(name, view, 2);
        tensor(name, view, dtype::f32, view.desc.dims);
    }
    void leading(std::string_view name, const tensor_view& view, std::size_t rank) const {
        const shape& dims = view.desc.dims;
        require(view.present(), fmt::format("{} must be there", name), "none");
        bool empty = false;
        for (std::size_t axis = 0; axis < dims.rank(); ++axis) empty = empty || dims[axis] < 1;
        require(dims.rank() == rank && !empty, fmt::format("{} must have {} axes, none empty", name, rank),
                dims.text());
    }

  private:
    std::string_view operation_;
};

void check(const checker& must, const cut_photographs& op) {
    must.leading("pixels", op.pixels, 4);
    const shape& dims = op.pixels.desc.dims;
    must.require(dims[1] == dims[2] && dims[3] == 3, "pixels must be squares of 3 channels, last",
                 dims.text());
    must.tensor("pixels", op.pixels, dtype::u8, dims);
    must.leading("store", op.store, 1);
    must.tensor("store", op.store, dtype::u8, op.store.desc.dims);
    must.leading("tables", op.tables, 1);
    must.tensor("tables", op.tables, dtype::i32, op.tables.desc.dims);
    must.tensor("places", op.places, dtype::u64, {dims[0], cut_place_columns});
}

// The extents of the pixels are returned.
template <class Op> shape check_photo(const checker& must, const Op& op) {
    must.leading("pixels", op.pixels, 4);
    const shape& dims = op.pixels.desc.dims;
    must.require(dims[3] == 3, "pixels must have 3 channels, last", dims.text());
    must.tensor("pixels", op.pixels, dtype::u8, dims);
    must.activation("y", op.y);
    for (const float deviation : op.deviation)
        must.require(deviation > 0, "deviation must be positive", fmt::format("{}", deviation));
    return dims;
}

void check(const checker& must, const photo_to_tensor& op) {
    const shape dims = check_photo(must, op);
    must.tensor("y", op.y, op.y.desc.type, {dims[0], 3, dims[1], dims[2]});
}

void check(const checker& must, const sampled_photo_to_tensor& op) {
    const shape dims = check_photo(must, op), y = op.y.desc.dims;
    constexpr std::int64_t longest = 1 << 15; // pixels are numbered in 32 bits
    must.require(std::max({dims[1], dims[2], y[2], y[3]}) < longest, "sides must be below 2^15 pixels",
                 dims.text());
    must.tensor("y", op.y, op.y.desc.type, {dims[0], 3, y[2], y[3]});
    must.optional("transforms", op.transforms, dtype::f32, {dims[0], photo_transform_columns});
}

void check(const checker& must, const convolution_shape& s) {
    must.require(std::min({s.batch, s.in_channels, s.height, s.width, s.out_channels, s.kernel}) >= 1,
                 "batch, channels, height, width and kernel must be positive",
                 fmt::format("x {}, w {}", s.x().text(), s.w().text()));
    must.require(s.stride >= 1, "stride must be positive", s.stride);
    must.require(s.padding >= 0, "padding must not be negative", s.padding);
    must.require(std::min(s.height, s.width) + 2 * s.padding >= s.kernel,
                 "the kernel must fit into the padded image",
                 fmt::format("x {}, kernel {}, padding {}", s.x().text(), s.kernel, s.padding));
}

void check(const checker& must, const convolution_forward& op) {
    check(must, op.shape);
    must.activation("x", op.x);
    must.tensor("x", op.x, op.x.desc.type, op.shape.x());
    must.tensor("w", op.w, dtype::f32, op.shape.w());
    must.tensor("y", op.y, op.x.desc.type, op.shape.y());
    must.optional("saved", op.saved, dtype::f32, {4, op.shape.in_channels});
}

void check(const checker& must, const convolution_backward_data& op) {
    check(must, op.shape);
    must.activation("dy", op.dy);
    must.tensor("dy", op.dy, op.dy.desc.type, op.shape.y());
    must.tensor("w", op.w, dtype::f32, op.shape.w());
    must.tensor("dx", op.dx, op.dy.desc.type, op.shape.x());
}

void check(const checker& must, const convolution_backward_weights& op) {
    check(must, op.shape);
    must.activation("x", op.x);
    must.tensor("x", op.x, op.x.desc.type, op.shape.x());
    must.tensor("dy", op.dy, op.x.desc.type, op.shape.y());
    must.tensor("dw", op.dw, dtype::f32, op.shape.w());
    must.optional("saved", op.saved, dtype::f32, {4, op.shape.in_channels});
}

// x is an activation or features; returns the number of its channels.
std::int64_t check_batch_norm_x(const checker& must, const tensor_view& x) {
    if (x.desc.dims.rank() == 2)
        must.features("x", x);
    else
        must.activation("x", x);
    return x.desc.dims[1];
}

template <class Op> void check_batch_norm(const checker& must, const Op& op) {
    const std::int64_t channels = check_batch_norm_x(must, op.x);
    must.tensor("gamma", op.gamma, dtype::f32, {channels});
    must.tensor("beta", op.beta, dtype::f32, {channels});
    must.tensor("running_mean", op.running_mean, dtype::f32, {channels});
    must.tensor("running_variance", op.running_variance, dtype::f32, {channels});
    must.optional("residual", op.residual, op.x.desc.type, op.x.desc.dims);
    must.optional("y", op.y, op.x.desc.type, op.x.desc.dims);
    must.optional("saved", op.saved, dtype::f32, {4, channels});
}

void check(const checker& must, const batch_norm_forward& op) {
    check_batch_norm(must, op);
    must.require(op.saved.present(), "saved must be there", "none");
    const std::int64_t elements = op.x.desc.dims.elements() / op.x.desc.dims[1];
    must.require(elements > 1, "a channel must have more than one element for its unbiased variance",
                 elements);
}

void check(const checker& must, const batch_norm_inference& op) {
    check_batch_norm(must, op);
    must.require(op.y.present() || op.saved.present(), "y or saved must be there", "neither");
}

void check(const checker& must, const batch_norm_backward& op) {
    const std::int64_t channels = check_batch_norm_x(must, op.x);
    const auto& [type, dims, layout] = op.x.desc;
    must.tensor("dy", op.dy, type, dims);
    must.optional("dy2", op.dy2, type, dims);
    must.optional("y", op.y, type, dims);
    must.require(!op.relu || !op.dresidual.present() || op.y.present(),
                 "y must be there where relu follows a residual", "none");
    must.tensor("gamma", op.gamma, dtype::f32, {channels});
    must.tensor("saved", op.saved, dtype::f32, {4, channels});
    must.optional("dx", op.dx, type, dims);
    must.tensor("dgamma", op.dgamma, dtype::f32, {channels});
    must.tensor("dbeta", op.dbeta, dtype::f32, {channels});
    must.optional("dresidual", op.dresidual, type, dims);
}

shape pooled(const shape& dims) { return {dims[0], dims[1], (dims[2] - 1) / 2 + 1, (dims[3] - 1) / 2 + 1}; }

void check(const checker& must, const max_pool_forward& op) {
    must.activation("x", op.x);
    const shape& dims = op.x.desc.dims;
    must.optional("saved", op.saved, dtype::f32, {4, dims[1]});
    must.tensor("y", op.y, op.x.desc.type, pooled(dims));
    must.optional("argmax", op.argmax, dtype::u8, pooled(dims));
}

void check(const checker& must, const max_pool_backward& op) {
    must.activation("dx", op.dx);
    const shape dims = pooled(op.dx.desc.dims);
    must.tensor("dy", op.dy, op.dx.desc.type, dims);
    must.optional("dy2", op.dy2, op.dx.desc.type, dims);
    must.tensor("argmax", op.argmax, dtype::u8, dims);
}

void check(const checker& must, const concat_pool_forward& op) {
    must.activation("x", op.x);
    const shape& dims = op.x.desc.dims;
    must.tensor("y", op.y, dtype::f32, {dims[0], 2 * dims[1]});
    must.optional("argmax", op.argmax, dtype::i32, {dims[0], dims[1]});
}

void check(const checker& must, const concat_pool_backward& op) {
    must.activation("dx", op.dx);
    const shape& dims = op.dx.desc.dims;
    must.tensor("dy", op.dy, dtype::f32, {dims[0], 2 * dims[1]});
    must.optional("argmax", op.argmax, dtype::i32, {dims[0], dims[1]});
}

void check(const checker& must, const linear_forward& op) {
    must.features("x", op.x);
    must.features("w", op.w);
    const shape &x = op.x.desc.dims, &w = op.w.desc.dims;
    must.tensor("w", op.w, dtype::f32, {w[0], x[1]});
    must.tensor("y", op.y, dtype::f32, {x[0], w[0]});
}

void check(const checker& must, const linear_backward& op) {
    must.features("x", op.x);
    must.features("w", op.w);
    const shape &x = op.x.desc.dims, &w = op.w.desc.dims;
    must.tensor("w", op.w, dtype::f32, {w[0], x[1]});
    must.require(!op.relu || op.y.present(), "y must be there with relu", "none");
    must.optional("y", op.y, dtype::f32, {x[0], w[0]});
    must.tensor("dy", op.dy, dtype::f32, {x[0], w[0]});
    must.tensor("dx", op.dx, dtype::f32, x);
    must.tensor("dw", op.dw, dtype::f32, w);
}

void check(const checker& must, const dropout& op) {
    must.features("x", op.x);
    must.tensor("row_keys", op.row_keys, dtype::u64, {op.x.desc.dims[0]});
    must.tensor("y", op.y, dtype::f32, op.x.desc.dims);
    must.require(op.probability >= 0 && op.probability < 1, "probability must be in [0, 1)",
                 fmt::format("{}", op.probability));
}

void check(const checker& must, const softmax_cross_entropy& op) {
    must.features("logits", op.logits);
    const shape& dims = op.logits.desc.dims;
    must.tensor("target", op.target, dtype::i32, {dims[0]});
    must.tensor("loss", op.loss, dtype::f32, {1});
    must.tensor("row_loss", op.row_loss, dtype::f32, {dims[0]});
    must.tensor("predictions", op.predictions, dtype::i32, {dims[0]});
    must.optional("dlogits", op.dlogits, dtype::f32, dims);
    must.optional("loss_scale", op.loss_scale, dtype::f32, {loss_scale_columns});
}

void check(const checker& must, const loss_scale_update& op) {
    must.tensor("state", op.state, dtype::f32, {loss_scale_columns});
    for (const tensor_view& gradient : op.gradients)
        must.tensor("gradient", gradient, dtype::f32, gradient.desc.dims);
}

void check(const checker& must, const adam_step& op) {
    must.leading("settings", op.settings, 2);
    const std::int64_t rows = op.settings.desc.dims[0];
    must.tensor("settings", op.settings, dtype::f32, {rows, adam_settings_columns});
    must.optional("loss_scale", op.loss_scale, dtype::f32, {loss_scale_columns});
    for (const adam_parameter& parameter : op.parameters) {
        must.tensor("p", parameter.p, dtype::f32, parameter.p.desc.dims);
        const std::pair<std::string_view, const tensor_view*> like_p[] = {
            {"g", &parameter.g}, {"m", &parameter.m}, {"v", &parameter.v}};
        for (const auto& [name, view] : like_p) {
            must.tensor(name, *view, dtype::f32, parameter.p.desc.dims);
            must.require(view->desc.layout == parameter.p.desc.layout,
                         fmt::format("{} must have the layout of p, {}", name, parameter.p.desc.layout),
                         view->desc.layout);
        }
        must.require(parameter.settings_row >= 0 && parameter.settings_row < rows,
                     fmt::format("settings_row must be in [0, {})", rows), parameter.settings_row);
    }
}

// Whether the contract lets the written operand be the same tensor as the other.
bool may_share(const operation_params& op, std::string_view written, std::string_view other) {
    const auto is = [&](std::string_view a, std::string_view b) { return written == a && other == b; };
    if (std::holds_alternative<batch_norm_forward>(op) || std::holds_alternative<batch_norm_inference>(op))
        return is("y", "x") || is("y", "residual");
    if (const auto* backward = std::get_if<batch_norm_backward>(&op))
        return backward->dresidual.present() ? is("dresidual", "dy") : is("dx", "dy");
    if (std::holds_alternative<dropout>(op)) return is("y", "x");
    return std::holds_alternative<softmax_cross_entropy>(op) && is("dlogits", "logits");
}

// Sees tensors at the same address; tensors that overlap in part are the memory planner's to avoid.
void check_sharing(const checker& must, const operation_params& op) {
    struct placed {
        std::string_view name;
        const std::byte* data;
        access kind;
    };
    std::vector<placed> operands;
    for_each_operand(op, [&](std::string_view name, const tensor_view& view, access kind) {
        if (view.data != nullptr) operands.push_back({name, view.data, kind});
    });
    std::ranges::stable_sort(operands, std::less<>{}, &placed::data);
    for (std::size_t first = 0; first < operands.size(); ++first)
        for (std::size_t second = first + 1;
             second < operands.size() && operands[second].data == operands[first].data; ++second) {
            const placed &one = operands[first], &two = operands[second];
            const bool harmless = one.kind == access::read && two.kind == access::read;
            must.require(harmless || may_share(op, one.name, two.name) || may_share(op, two.name, one.name),
                         "tensors must not share memory", fmt::format("{} and {}", one.name, two.name));
        }
}

} // namespace

void check_contract(const operation_params& op) {
    const checker must(name_of(op));
    std::visit([&](const auto& specific) { check(must, specific); }, op);
    check_sharing(must, op);
}

} // namespace petnet::kernels
