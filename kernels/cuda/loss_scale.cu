// SPDX-License-Identifier: Apache-2.0
// Dynamic loss scaling: is every gradient finite? One launch over all tensors, a block a chunk, each with a
// flag of its own in the workspace (so nothing has to be cleared, and no two blocks write the same place);
// then one block gathers the flags and moves the state on. Bandwidth: one read of the gradients.
#include "kernels/cuda/context.hpp"
#include "kernels/cuda/element.cuh"
#include "kernels/cuda/launch.hpp"
#include "kernels/cuda/layout.hpp"
#include "kernels/cuda/shared_memory.cuh"
#include "kernels/cuda/tensor_table.hpp"

namespace petnet::kernels::cuda {
namespace {

constexpr int warp_size = 32, threads = 256, per_load = 4;

struct gradient_entry {
    const float* data;
    std::int64_t count;
};

struct flags_of_warps {
    unsigned at[threads / warp_size];
};

// Whether any thread of the block says so. Called by all threads, once in a kernel.
__device__ bool any_of_block(bool mine) {
    auto& shared = shared_memory<flags_of_warps>();
    const unsigned lanes = __ballot_sync(0xffffffff, mine);
    if (threadIdx.x % warp_size == 0) shared.at[threadIdx.x / warp_size] = lanes;
    __syncthreads();
    unsigned any = 0;
    for (const unsigned of_warp : shared.at) any |= of_warp;
    return any != 0;
}

__device__ bool is_unusable(float value) { return isnan(value) || isinf(value); }

__global__ void __launch_bounds__(threads)
    find_unusable(const gradient_entry* entries, const chunk* chunks, std::uint32_t* flags) {
    const auto [first, tensor] = chunks[blockIdx.x];
    const gradient_entry entry = entries[tensor];
    const std::int64_t rest = entry.count - first;
    const int count = rest < chunk_elements ? static_cast<int>(rest) : chunk_elements;
    const float* data = entry.data + first;
    bool found = false;
    for (int i = static_cast<int>(threadIdx.x) * per_load; i < count; i += threads * per_load) {
        if (i + per_load <= count) {
            const auto values = load_pack<per_load>(data + i);
            for (int j = 0; j < per_load; ++j) found = found || is_unusable(values.at[j]);
        } else {
            for (int j = i; j < count; ++j) found = found || is_unusable(data[j]);
        }
    }
    const bool any = any_of_block(found);
    if (threadIdx.x == 0) flags[blockIdx.x] = any ? 1 : 0;
}

struct scale_state {
    float scale, inverse, good_steps, skipped;
};
static_assert(sizeof(scale_state) == loss_scale_columns * sizeof(float));

__global__ void __launch_bounds__(threads)
    update_scale(const std::uint32_t* flags, unsigned flag_count, scale_state* state) {
    bool found = false;
    for (unsigned i = threadIdx.x; i < flag_count; i += threads) found = found || flags[i] != 0;
    const bool any = any_of_block(found);
    if (threadIdx.x != 0) return;
    scale_state next = *state;
    if (any) {
        next.inverse = 0;
        next.good_steps = 0;
        next.skipped += 1;
        next.scale /= 2;
    } else {
        next.inverse = 1 / next.scale;
        next.good_steps += 1;
        if (next.good_steps >= static_cast<float>(loss_scale_interval)) {
            next.good_steps = 0;
            next.scale *= 2;
        }
    }
    *state = next;
}

} // namespace

std::unique_ptr<operation> prepare(context& cuda, const loss_scale_update& op) {
    std::vector<gradient_entry> entries;
    for (const tensor_view& gradient : op.gradients)
        entries.push_back({elements<const float>(gradient), stored_elements(gradient.desc)});
    tensor_table<gradient_entry> table(cuda.stream(), entries);
    const std::size_t workspace_bytes = table.chunk_count() * sizeof(std::uint32_t);
    return make_operation(workspace_bytes, [stream = cuda.stream(), table = std::move(table),
                                            state = elements<scale_state>(op.state)](std::byte* workspace) {
        auto* flags = reinterpret_cast<std::uint32_t*>(workspace);
        launch(stream, table.chunk_count(), threads, find_unusable, table.entries(), table.chunks(), flags);
        launch(stream, 1, threads, update_scale, flags, table.chunk_count(), state);
    });
}

} // namespace petnet::kernels::cuda
