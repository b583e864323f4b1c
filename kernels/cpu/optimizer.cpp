// SPDX-License-Identifier: Apache-2.0
#include "kernels/cpu/parallel.hpp"

namespace petnet::kernels::cpu {
namespace {

// One parallel loop over all tensors: the list of (tensor, range) pieces is made when the step is prepared.
class adam final : public operation {
  public:
    adam(context& cpu, const adam_step& op) : op_(op), threads_(cpu.threads()) {
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
                    {row[0], row[1], row[2], row[3], static_cast<float>(op_.beta2),
                     static_cast<float>(op_.epsilon), shrink});
        }
    }

  private:
    struct range {
        std::size_t parameter;
        std::int64_t first, count;
    };
    adam_step op_;
    int threads_;
    std::vector<range> pieces_;
    adam_loop kernel_ = best_adam_loop();
};

} // namespace

std::unique_ptr<operation> prepare(context& cpu, const adam_step& op) {
    return std::make_unique<adam>(cpu, op);
}

} // namespace petnet::kernels::cpu
