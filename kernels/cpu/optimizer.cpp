// SPDX-License-Identifier: Apache-2.0
#include "kernels/cpu/parallel.hpp"

#include <cmath>

namespace petnet::kernels::cpu {
namespace {

class loss_scaling final : public operation {
  public:
    loss_scaling(context& cpu, const loss_scale_update& op) : op_(op) {
        for (const tensor_view& gradient : op.gradients)
            counts_.push_back(
                static_cast<std::int64_t>(cpu.describe(gradient.desc).get_size() / sizeof(float)));
    }

    void execute(std::byte*) override {
        bool finite = true;
        for (std::size_t i = 0; i < counts_.size(); ++i) {
            const auto* g = elements<float>(op_.gradients[i]);
            finite =
                finite && std::all_of(g, g + counts_[i], [](float value) { return std::isfinite(value); });
        }
        update_loss_scale(elements<float>(op_.state), finite);
    }

  private:
    loss_scale_update op_;
    std::vector<std::int64_t> counts_; // layout padding included: it is zero
};

// One parallel loop over all tensors: the list of (tensor, range) pieces is made when the step is prepared.
class adam final : public operation {
  public:
    adam(context& cpu, const adam_step& op) : op_(op), threads_(cpu.threads()) {
        corrections_.reserve(static_cast<std::size_t>(op.settings.desc.dims[0]));
        for (std::size_t i = 0; i < op.parameters.size(); ++i) {
            // The whole storage, padding of blocked layouts included: it is zero in all four and stays so.
            const auto count =
                static_cast<std::int64_t>(cpu.describe(op.parameters[i].p.desc).get_size() / sizeof(float));
            for (std::int64_t first = 0; first < count; first += piece_elements)
                pieces_.push_back({i, first, std::min(piece_elements, count - first)});
        }
    }

    void execute(std::byte*) override {
        const auto* settings = elements<float>(op_.settings);
        const auto* state = elements<float>(op_.loss_scale);
        const float inverse_scale = state != nullptr ? state[1] : 1.0F;
        const double skipped = state != nullptr ? static_cast<double>(state[3]) : 0.0;
        if (inverse_scale == 0.0F) return;
        corrections_.clear();
        for (std::int64_t r = 0; r < op_.settings.desc.dims[0]; ++r) {
            const float* row = settings + r * adam_settings_columns;
            const double t = static_cast<double>(row[2]) - skipped;
            corrections_.push_back({static_cast<float>(1.0 - std::pow(static_cast<double>(row[1]), t)),
                                    static_cast<float>(1.0 - std::pow(op_.beta2, t))});
        }
        const auto pieces = static_cast<std::int64_t>(pieces_.size());
#pragma omp parallel for schedule(static) num_threads(threads_)
        for (std::int64_t i = 0; i < pieces; ++i) {
            const range& r = pieces_[static_cast<std::size_t>(i)];
            const adam_parameter& a = op_.parameters[r.parameter];
            const float* row = settings + a.settings_row * adam_settings_columns;
            const float shrink =
                a.decay ? static_cast<float>(1.0 - static_cast<double>(row[0]) * op_.weight_decay) : 1.0F;
            kernel_(elements<float>(a.p) + r.first, elements<float>(a.g) + r.first,
                    elements<float>(a.m) + r.first, elements<float>(a.v) + r.first, r.count,
                    {row[0], row[1], corrections_[static_cast<std::size_t>(a.settings_row)].mom,
                     corrections_[static_cast<std::size_t>(a.settings_row)].beta2,
                     static_cast<float>(op_.beta2), static_cast<float>(op_.epsilon), shrink, inverse_scale});
        }
    }

  private:
    struct range {
        std::size_t parameter;
        std::int64_t first, count;
    };
    struct correction {
        float mom, beta2; // 1-mom^t, 1-beta2^t
    };
    adam_step op_;
    int threads_;
    std::vector<range> pieces_;
    std::vector<correction> corrections_; // of each row of settings
    adam_loop kernel_ = best_adam_loop();
};

} // namespace

std::unique_ptr<operation> prepare(context& cpu, const loss_scale_update& op) {
    return std::make_unique<loss_scaling>(cpu, op);
}
std::unique_ptr<operation> prepare(context& cpu, const adam_step& op) {
    return std::make_unique<adam>(cpu, op);
}

} // namespace petnet::kernels::cpu
