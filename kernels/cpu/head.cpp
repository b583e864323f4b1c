// SPDX-License-Identifier: Apache-2.0
// The head's operations: matrix products by oneDNN, the rest plain loops over a batch of short rows.
#include "kernels/cpu/parallel.hpp"

#include "base/random.hpp"

#include <cmath>
#include <limits>

namespace petnet::kernels::cpu {
namespace {

// c = a * b as oneDNN's matmul, scratchpad from the workspace.
class product {
  public:
    product(context& cpu, const dnnl::memory& a, const dnnl::memory& b, const dnnl::memory& c, bool relu)
        : stream_(cpu.stream()),
          desc_(describe_matmul(cpu.engine(), a.get_desc(), b.get_desc(), c.get_desc(), relu)),
          primitive_(desc_),
          scratchpad_(desc_.scratchpad_desc(), cpu.engine(), nullptr),
          args_{{DNNL_ARG_SRC, a},
                {DNNL_ARG_WEIGHTS, b},
                {DNNL_ARG_DST, c},
                {DNNL_ARG_SCRATCHPAD, scratchpad_}} {}

    [[nodiscard]] std::size_t workspace_bytes() const { return desc_.scratchpad_desc().get_size(); }
    void execute(std::byte* workspace) {
        if (workspace_bytes() > 0) scratchpad_.set_data_handle(workspace);
        primitive_.execute(stream_, args_);
    }

  private:
    dnnl::stream& stream_;
    dnnl::matmul::primitive_desc desc_;
    dnnl::matmul primitive_;
    dnnl::memory scratchpad_;
    arguments args_;
};

// A row-major matrix read as its transpose.
dnnl::memory transposed(context& cpu, const tensor_view& view) {
    const shape& d = view.desc.dims;
    return {{{d[1], d[0]}, dnnl::memory::data_type::f32, format::ba}, cpu.engine(), view.data};
}

class linear final : public operation {
  public:
    linear(context& cpu, const linear_forward& op)
        : product_(cpu, cpu.memory(op.x), transposed(cpu, op.w), cpu.memory(op.y), op.relu) {}
    std::size_t workspace_bytes() const override { return product_.workspace_bytes(); }
    void execute(std::byte* workspace) override { product_.execute(workspace); }

  private:
    product product_;
};

class linear_gradient final : public operation {
  public:
    linear_gradient(context& cpu, const linear_backward& op)
        : op_(op),
          for_x_(cpu, cpu.memory(op.dy), cpu.memory(op.w), cpu.memory(op.dx), false),
          for_w_(cpu, transposed(cpu, op.dy), cpu.memory(op.x), cpu.memory(op.dw), false) {}

    std::size_t workspace_bytes() const override {
        return std::max(for_x_.workspace_bytes(), for_w_.workspace_bytes());
    }
    void execute(std::byte* workspace) override {
        if (op_.relu) {
            auto* dy = elements<float>(op_.dy);
            const auto* y = elements<float>(op_.y);
            for (std::int64_t i = 0; i < op_.dy.desc.dims.elements(); ++i)
                if (y[i] <= 0.0F) dy[i] = 0.0F;
        }
        for_x_.execute(workspace);
        for_w_.execute(workspace);
    }

  private:
    linear_backward op_;
    product for_x_, for_w_;
};

class dropout_rows final : public operation {
  public:
    dropout_rows(context& cpu, const dropout& op) : op_(op), threads_(cpu.threads()) {}

    void execute(std::byte*) override {
        const auto* x = elements<float>(op_.x);
        const auto* keys = elements<std::uint64_t>(op_.row_keys);
        auto* y = elements<float>(op_.y);
        const std::int64_t rows = op_.x.desc.dims[0], width = op_.x.desc.dims[1];
        const auto scale = static_cast<float>(1.0 / (1.0 - op_.probability));
#pragma omp parallel for schedule(static) num_threads(threads_)
        for (std::int64_t n = 0; n < rows; ++n) {
            const random_key key = random_key::from_state(keys[n]).child(op_.layer);
            for (std::int64_t i = 0; i < width; ++i) {
                const bool keep = key.uniform(static_cast<std::uint64_t>(i)) >= op_.probability;
                y[n * width + i] = keep ? x[n * width + i] * scale : 0.0F;
            }
        }
    }

  private:
    dropout op_;
    int threads_;
};

class cross_entropy final : public operation {
  public:
    explicit cross_entropy(const softmax_cross_entropy& op) : op_(op) {}

    void execute(std::byte*) override {
        const std::int64_t rows = op_.logits.desc.dims[0], classes = op_.logits.desc.dims[1];
        const auto* state = elements<float>(op_.loss_scale);
        const double scale = state != nullptr ? static_cast<double>(*state) : 1.0;
        double total = 0;
        for (std::int64_t n = 0; n < rows; ++n) {
            row(n, classes, scale / static_cast<double>(rows));
            total += static_cast<double>(elements<float>(op_.row_loss)[n]);
        }
        *elements<float>(op_.loss) = static_cast<float>(total / static_cast<double>(rows));
    }

  private:
    void row(std::int64_t n, std::int64_t classes, double weight) const {
        const float* logits = elements<float>(op_.logits) + n * classes;
        const std::int64_t target = elements<std::int32_t>(op_.target)[n];
        const bool valid = target >= 0 && target < classes;
        std::int64_t best = 0;
        for (std::int64_t c = 1; c < classes; ++c)
            if (logits[c] > logits[best]) best = c;
        const auto maximum = static_cast<double>(logits[best]);
        double sum = 0;
        for (std::int64_t c = 0; c < classes; ++c) sum += std::exp(static_cast<double>(logits[c]) - maximum);
        elements<std::int32_t>(op_.predictions)[n] = static_cast<std::int32_t>(best);
        elements<float>(op_.row_loss)[n] =
            valid ? static_cast<float>(std::log(sum) - (static_cast<double>(logits[target]) - maximum))
                  : std::numeric_limits<float>::quiet_NaN();
        if (!op_.dlogits.present()) return;
        float* dlogits = elements<float>(op_.dlogits) + n * classes;
        for (std::int64_t c = 0; c < classes; ++c) {
            const double probability = std::exp(static_cast<double>(logits[c]) - maximum) / sum;
            dlogits[c] = static_cast<float>((probability - (c == target ? 1.0 : 0.0)) * weight);
        }
    }

    softmax_cross_entropy op_;
};

} // namespace

std::unique_ptr<operation> prepare(context& cpu, const linear_forward& op) {
    return std::make_unique<linear>(cpu, op);
}
std::unique_ptr<operation> prepare(context& cpu, const linear_backward& op) {
    return std::make_unique<linear_gradient>(cpu, op);
}
std::unique_ptr<operation> prepare(context& cpu, const dropout& op) {
    return std::make_unique<dropout_rows>(cpu, op);
}
std::unique_ptr<operation> prepare(context&, const softmax_cross_entropy& op) {
    return std::make_unique<cross_entropy>(op);
}

} // namespace petnet::kernels::cpu
