// SPDX-License-Identifier: Apache-2.0
#include "kernels/cuda/fused_pairs.hpp"

#include "kernels/cuda/batch_norm_from_sums.hpp"
#include "kernels/cuda/launch.hpp"
#include "kernels/cuda/layout.hpp"
#include "kernels/cuda/pair_trial.hpp"

#include <cstddef>
#include <stdexcept>
#include <string>
#include <utility>
#include <variant>

namespace petnet::kernels::cuda {
namespace {

constexpr std::size_t bytes_of_rows(std::int64_t rows, std::int64_t channels) {
    return static_cast<std::size_t>(rows * channels) * sizeof(float);
}

struct forward_pair {
    convolution_forward convolution;
    batch_norm_forward norm;
};
struct backward_pair {
    convolution_backward_data convolution;
    batch_norm_backward norm;
};
using matched_pair = std::variant<std::monostate, forward_pair, backward_pair>;

matched_pair match(const operation_params& first, const operation_params& second) {
    if (const auto* convolution = std::get_if<convolution_forward>(&first)) {
        const auto* norm = std::get_if<batch_norm_forward>(&second);
        const tensor_view& x = convolution->x;
        if (norm != nullptr && norm->x.data == convolution->y.data && x.desc.type != dtype::f32 &&
            (!convolution->saved.present() || has_whole_rows(x.desc)))
            return forward_pair{*convolution, *norm};
    }
    if (const auto* convolution = std::get_if<convolution_backward_data>(&first)) {
        const auto* norm = std::get_if<batch_norm_backward>(&second);
        // dx in dy's place: nobody can ask for the gradient before the cut any more.
        if (norm != nullptr && norm->dy.data == convolution->dx.data && norm->dx.data == norm->dy.data &&
            norm->relu && !norm->y.present() && !norm->dy2.present() && !norm->dresidual.present() &&
            norm->dy.desc.type != dtype::f32 && has_whole_rows(norm->x.desc))
            return backward_pair{*convolution, *norm};
    }
    return {};
}

stored_operation stored_pair(const forward_pair& pair) {
    return stored(pair.convolution, convolution_kind::forward_and_sums);
}
stored_operation stored_pair(const backward_pair& pair) {
    stored_operation op = stored(pair.convolution, convolution_kind::backward_data_and_sums);
    const auto* saved = elements<const float>(pair.norm.saved);
    op.on.normalised = pair.norm.x.data;
    op.on.mean = saved;
    op.on.inverse_deviation = saved + pair.norm.x.desc.dims[1];
    op.on.gamma = elements<const float>(pair.norm.gamma);
    return op;
}

// Workspace: sums, then the plan's.
std::unique_ptr<operation> fuse_pair(cudaStream_t stream, const forward_pair& pair,
                                     std::shared_ptr<convolution_plan> plan) {
    const stored_operation convolution = stored_pair(pair);
    const std::size_t sums_bytes = aligned(
        bytes_of_rows(rows_of_sums(convolution.problem.kind), convolution.problem.shape.out_channels));
    const std::size_t workspace_bytes = sums_bytes + plan->workspace_bytes();
    return make_operation(workspace_bytes, [=, norm = pair.norm, on = convolution.on,
                                            plan = std::move(plan)](std::byte* workspace) mutable {
        on.sums = reinterpret_cast<float*>(workspace);
        plan->execute(on, workspace + sums_bytes, stream);
        finish_from_sums(stream, norm, on.sums);
    });
}

// Workspace: sums, beta, coefficients of dx, then the plan's.
std::unique_ptr<operation> fuse_pair(cudaStream_t stream, const backward_pair& pair,
                                     std::shared_ptr<convolution_plan> plan) {
    const stored_operation convolution = stored_pair(pair);
    const std::int64_t channels = pair.norm.x.desc.dims[1];
    const std::size_t sums_bytes = aligned(bytes_of_rows(rows_of_sums(convolution.problem.kind), channels)),
                      beta_bytes = aligned(bytes_of_rows(1, channels)),
                      coefficients_bytes = aligned(bytes_of_rows(2, channels));
    const std::size_t before_plan = sums_bytes + beta_bytes + coefficients_bytes;
    const std::size_t workspace_bytes = before_plan + plan->workspace_bytes();
    return make_operation(workspace_bytes, [=, norm = pair.norm, on = convolution.on,
                                            plan = std::move(plan)](std::byte* workspace) mutable {
        on.sums = reinterpret_cast<float*>(workspace);
        auto* beta = reinterpret_cast<float*>(workspace + sums_bytes);
        auto* coefficients = reinterpret_cast<float*>(workspace + sums_bytes + beta_bytes);
        on.beta = beta;
        restore_beta(stream, norm.saved, beta);
        plan->execute(on, workspace + before_plan, stream);
        finish_from_sums(stream, norm, on.sums, coefficients);
    });
}

std::string text_of(const forward_pair& pair) {
    return text_of(stored_pair(pair).problem) + "; batch norm" +
           (pair.norm.residual.present() ? ", residual" : "") + (pair.norm.relu ? ", relu" : "") +
           (pair.norm.y.present() ? "" : ", not applied");
}
std::string text_of(const backward_pair& pair) {
    return text_of(stored_pair(pair).problem) + "; batch norm, relu";
}

// run(pair) for a pair, `none` for two that are none.
template <class Result, class Run>
Result with_pair(const operation_params& first, const operation_params& second, Result none, const Run& run) {
    return std::visit(
        [&]<class Pair>(const Pair& pair) -> Result {
            if constexpr (std::is_same_v<Pair, std::monostate>)
                return std::move(none);
            else
                return run(pair);
        },
        match(first, second));
}

} // namespace

std::optional<stored_convolution> problem_of_pair(const operation_params& first,
                                                  const operation_params& second) {
    return with_pair(first, second, std::optional<stored_convolution>{},
                     [](const auto& pair) { return std::optional(stored_pair(pair).problem); });
}

std::unique_ptr<operation> fuse(cudaStream_t on_stream, const operation_params& first,
                                const operation_params& second, std::shared_ptr<convolution_plan> plan) {
    return with_pair(first, second, std::unique_ptr<operation>{},
                     [&](const auto& pair) { return fuse_pair(on_stream, pair, std::move(plan)); });
}

std::unique_ptr<operation> prepare_pair(context& cuda, const operation_params& first,
                                        const operation_params& second) {
    return with_pair(
        first, second, std::unique_ptr<operation>{}, [&](const auto& pair) -> std::unique_ptr<operation> {
            std::shared_ptr<convolution_plan> plan =
                cuda.convolve().plan_of_pair(stored_pair(pair).problem, text_of(pair),
                                             [&] { return make_pair_trial(cuda, first, second); });
            return plan ? fuse_pair(cuda.stream(), pair, std::move(plan)) : nullptr;
        });
}

} // namespace petnet::kernels::cuda
