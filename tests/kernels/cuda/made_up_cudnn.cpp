// SPDX-License-Identifier: Apache-2.0
#include "tests/kernels/cuda/made_up_cudnn.hpp"

#include "base/errors.hpp"
#include "kernels/cuda/cudnn_graph.hpp"
#include "kernels/cuda/cudnn_library.hpp"

#include <algorithm>
#include <cstring>

struct cudnnContext {};

namespace petnet::kernels::cuda {

const cudnn_library& load_cudnn() {
    static const cudnn_library library{nullptr, "9.99.0"};
    return library;
}
std::string cudnn_frontend_version() { return "1.99.0"; }

cudnn_handle::cudnn_handle() : handle_(new cudnnContext) {}
cudnn_handle::~cudnn_handle() { delete handle_; }
void cudnn_handle::set_stream(cudaStream_t on_stream) { stream_ = on_stream; }

class cudnn_graph::implementation {};
cudnn_graph::cudnn_graph(const cudnn_handle&, const stored_convolution& problem, bool tf32) {
    cudnn.tf32 = tf32;
    ++cudnn.graphs;
    if ((rows_of_sums(problem.kind) > 0 || problem.through_norm) && !cudnn.has_sums)
        throw environment_error("cuDNN: looking for plans failed: made up");
}
cudnn_graph::~cudnn_graph() = default;

std::vector<cudnn_plan> cudnn_graph::plans(std::size_t limit, std::size_t workspace_bytes) {
    cudnn.workspace_limit = workspace_bytes;
    std::vector<cudnn_plan> found;
    for (std::size_t i = 0; i < cudnn.plans.size() && found.size() < limit; ++i)
        if (const made_up_plan& plan = cudnn.plans[i]; plan.workspace_bytes <= workspace_bytes)
            found.push_back({static_cast<std::int64_t>(i), plan.name, plan.workspace_bytes});
    if (found.empty() && !cudnn.plans.empty()) { // the smallest
        const auto smallest = std::ranges::min_element(cudnn.plans, {}, &made_up_plan::workspace_bytes);
        found.push_back({smallest - cudnn.plans.begin(), smallest->name, smallest->workspace_bytes});
    }
    return found;
}
std::optional<cudnn_plan> cudnn_graph::plan(const std::string& name) {
    const auto found = std::ranges::find(cudnn.plans, name, &made_up_plan::name);
    if (found == cudnn.plans.end()) return std::nullopt;
    return cudnn_plan{found - cudnn.plans.begin(), found->name, found->workspace_bytes};
}

void cudnn_graph::execute(const cudnn_handle&, const cudnn_plan& plan, const convolution_operands& on,
                          std::byte* workspace) {
    cudnn.executed.push_back(plan.name);
    const made_up_plan& made_up = cudnn.plans.at(static_cast<std::size_t>(plan.index));
    if (!made_up.works) throw environment_error("cuDNN: executing failed: made up");
    cuda_host::enqueue(
        nullptr,
        [=, compute = cudnn.compute] {
            if (made_up.workspace_bytes > 0) std::memset(workspace, 0xEE, made_up.workspace_bytes);
            if (compute) compute(on);
        },
        cuda_host::device_duration(made_up.milliseconds));
}

} // namespace petnet::kernels::cuda
