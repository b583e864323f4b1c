// SPDX-License-Identifier: Apache-2.0
// Convolutions are oneDNN's, but for those that winograd.hpp makes. Where a primitive wants its weights in
// another layout or type than the master weights have, they are reordered through the workspace before (or,
// for the gradient, after) it runs.
#include "kernels/cpu/context.hpp"
#include "kernels/cpu/winograd.hpp"

#include <algorithm>
#include <vector>

namespace petnet::kernels::cpu {
namespace {

// One primitive between an optional reorder of the weights in and an optional reorder of them out.
class convolution final : public operation {
  public:
    // `wanted` is the primitive's own descriptor of the weights or of their gradient, `argument` its name.
    convolution(context& cpu, dnnl::primitive primitive, arguments args, const memory_desc& scratchpad,
                int argument, const memory_desc& wanted, const tensor_view& master)
        : cpu_(cpu),
          primitive_(std::move(primitive)),
          args_(std::move(args)),
          scratchpad_bytes_(scratchpad.get_size()),
          scratchpad_(scratchpad, cpu.engine(), nullptr),
          writes_weights_(argument == DNNL_ARG_DIFF_WEIGHTS) {
        args_.insert({DNNL_ARG_SCRATCHPAD, scratchpad_});
        dnnl::memory weights = cpu.memory(master);
        if (weights.get_desc() != wanted) {
            copy_ = dnnl::memory(wanted, cpu.engine(), nullptr);
            from_ = writes_weights_ ? copy_ : weights;
            to_ = writes_weights_ ? weights : copy_;
            reorder_ = dnnl::reorder(from_, to_);
            copy_bytes_ = aligned(wanted.get_size());
            weights = copy_;
        }
        args_.insert({argument, weights});
    }

    std::size_t workspace_bytes() const override { return copy_bytes_ + scratchpad_bytes_; }

    void execute(std::byte* workspace) override {
        if (copy_bytes_ > 0) copy_.set_data_handle(workspace);
        if (scratchpad_bytes_ > 0) scratchpad_.set_data_handle(workspace + copy_bytes_);
        if (copy_bytes_ > 0 && !writes_weights_) reorder_.execute(cpu_.stream(), from_, to_);
        primitive_.execute(cpu_.stream(), args_);
        if (copy_bytes_ > 0 && writes_weights_) reorder_.execute(cpu_.stream(), from_, to_);
    }

  private:
    context& cpu_;
    dnnl::primitive primitive_;
    arguments args_; // shares its memory objects with the members below
    std::size_t scratchpad_bytes_, copy_bytes_ = 0;
    dnnl::memory scratchpad_, copy_, from_, to_;
    dnnl::reorder reorder_;
    bool writes_weights_;
};

memory_desc any_weights(const convolution_shape& shape, dtype type) {
    return {onednn_dims(shape.w()), onednn_type(type), format::any};
}

dnnl::convolution_forward::primitive_desc forward_hint(context& cpu, const convolution_shape& shape,
                                                       const tensor_view& x, const tensor_view& y) {
    return describe_forward(cpu.engine(), shape, cpu.describe(x.desc), any_weights(shape, x.desc.type),
                            cpu.describe(y.desc));
}

// A convolution of what it reads through a batch norm, which is written into memory of its own first. No plan
// asks for it here, where it is no faster (backend::reads_through_norm).
class through_norm final : public operation {
  public:
    template <class Op>
    through_norm(context& cpu, Op op) : memory_(cpu.describe(op.x.desc).get_size() / sizeof(block) + 1) {
        const tensor_view applied{op.x.desc, memory_.front().bytes};
        norm_ = prepare_norm(cpu, op.x, op.saved, applied);
        op.x = applied;
        op.saved = {};
        convolution_ = prepare(cpu, op);
    }
    [[nodiscard]] std::size_t workspace_bytes() const override { return convolution_->workspace_bytes(); }
    void execute(std::byte* workspace) override {
        norm_->execute(workspace);
        convolution_->execute(workspace);
    }

  private:
    struct alignas(memory_alignment) block {
        std::byte bytes[memory_alignment];
    };
    std::vector<block> memory_;
    std::unique_ptr<operation> norm_, convolution_;
};

} // namespace

std::unique_ptr<operation> prepare(context& cpu, const convolution_forward& op) {
    if (op.saved.present()) return std::make_unique<through_norm>(cpu, op);
    if (winograd_applies(op.shape, op.x.desc.type)) return prepare_winograd(cpu, op);
    const auto desc = forward_hint(cpu, op.shape, op.x, op.y);
    arguments args{{DNNL_ARG_SRC, cpu.memory(op.x)}, {DNNL_ARG_DST, cpu.memory(op.y)}};
    return std::make_unique<convolution>(cpu, dnnl::convolution_forward(desc), std::move(args),
                                         desc.scratchpad_desc(), DNNL_ARG_WEIGHTS, desc.weights_desc(), op.w);
}

std::unique_ptr<operation> prepare(context& cpu, const convolution_backward_data& op) {
    if (winograd_applies(op.shape, op.dx.desc.type)) return prepare_winograd(cpu, op);
    const auto hint = forward_hint(cpu, op.shape, op.dx, op.dy);
    const auto desc =
        describe_backward_data(cpu.engine(), op.shape, cpu.describe(op.dx.desc),
                               any_weights(op.shape, op.dx.desc.type), cpu.describe(op.dy.desc), hint);
    arguments args{{DNNL_ARG_DIFF_SRC, cpu.memory(op.dx)}, {DNNL_ARG_DIFF_DST, cpu.memory(op.dy)}};
    return std::make_unique<convolution>(cpu, dnnl::convolution_backward_data(desc), std::move(args),
                                         desc.scratchpad_desc(), DNNL_ARG_WEIGHTS, desc.weights_desc(), op.w);
}

std::unique_ptr<operation> prepare(context& cpu, const convolution_backward_weights& op) {
    if (op.saved.present()) return std::make_unique<through_norm>(cpu, op);
    if (winograd_applies(op.shape, op.x.desc.type)) return prepare_winograd(cpu, op);
    const auto hint = forward_hint(cpu, op.shape, op.x, op.dy);
    const auto desc =
        describe_backward_weights(cpu.engine(), op.shape, cpu.describe(op.x.desc),
                                  any_weights(op.shape, dtype::f32), cpu.describe(op.dy.desc), hint);
    arguments args{{DNNL_ARG_SRC, cpu.memory(op.x)}, {DNNL_ARG_DIFF_DST, cpu.memory(op.dy)}};
    return std::make_unique<convolution>(cpu, dnnl::convolution_backward_weights(desc), std::move(args),
                                         desc.scratchpad_desc(), DNNL_ARG_DIFF_WEIGHTS,
                                         desc.diff_weights_desc(), op.dw);
}

} // namespace petnet::kernels::cpu
