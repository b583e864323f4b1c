// SPDX-License-Identifier: Apache-2.0
// What a step of each phase and precision asks of a GPU, as tab-separated lines: how many operations and
// launches (kernels, copies and fills of the emulated CUDA; one for each convolution), what the operations
// have to move and compute at least (kernels/cost.hpp), and the memory of its tensors. Batch 64, 224x224;
// launches do not depend on the batch and are counted at 4.
#include "cuda_host/control.hpp"
#include "kernels/cost.hpp"
#include "model/network.hpp"
#include "model/parameters.hpp"
#include "model/plan.hpp"

#include <cstdio>
#include <exception>

namespace {

using namespace petnet;

model::plan_options options_of(model::phase kind, kernels::dtype activations, std::int64_t batch) {
    return {.kind = kind, .batch = batch, .height = 224, .width = 224, .activations = activations};
}

// Queued, and never run: the emulated streams work as late as they may.
std::size_t launches(kernels::backend& device, model::plan& plan) {
    const kernels::device_memory memory = device.allocate(plan.memory_bytes());
    plan.bind(memory.get());
    const kernels::device_memory workspace = device.allocate(plan.workspace_bytes());
    cuda_host::reset();
    for (const model::plan::node& node : plan.nodes()) node.prepared->execute(workspace.get());
    const std::size_t queued = cuda_host::queued();
    cuda_host::reset();
    return queued;
}

void print(kernels::dtype activations) {
    const auto device = kernels::make_backend("cuda");
    const model::network network = model::make_resnet({});
    model::parameters parameters(*device, network, activations);
    for (const model::phase kind : {model::phase::frozen, model::phase::unfrozen, model::phase::evaluation}) {
        const model::plan plan(parameters, network, options_of(kind, activations, 64));
        model::plan small(parameters, network, options_of(kind, activations, 4));
        double bytes = 0, flops = 0;
        for (const model::plan::node& node : plan.nodes()) {
            const kernels::op_cost cost = kernels::cost_of(node.params);
            bytes += cost.bytes_read + cost.bytes_written;
            flops += cost.flops;
        }
        std::printf("%s\t%s\t%zu\t%zu\t%.1f\t%.1f\t%.1f\n", model::name_of(kind),
                    kernels::name_of(activations), plan.nodes().size(), launches(*device, small),
                    1e-6 * bytes, 1e-9 * flops, 1e-6 * static_cast<double>(plan.memory_bytes()));
    }
}

} // namespace

int main() {
    try {
        std::puts("phase\tactivations\toperations\tlaunches\tMB moved\tGFLOP\tMB of tensors");
        for (const kernels::dtype activations :
             {kernels::dtype::f32, kernels::dtype::bf16, kernels::dtype::f16})
            print(activations);
        return 0;
    } catch (const std::exception& e) {
        std::fprintf(stderr, "step_budget: %s\n", e.what());
        return 1;
    }
}
