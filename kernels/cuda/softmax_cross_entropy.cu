// SPDX-License-Identifier: Apache-2.0
// Softmax and cross-entropy of row-major f32 logits: one warp a row, of any number of classes; then one block
// for the mean loss.
//
// Numerics: the row's maximum is subtracted first, so that logits of any size stay finite; exp and log in
//   float32, sums of the lanes folded in a fixed tree; the mean in double, in the order of rows.
// In place: a lane reads and writes the classes lane, lane + 32, ... only, so dlogits may be logits.
// NaN: the row's loss is NaN. A row that begins with NaN has prediction 0, else NaN is passed over, which is
//   what std::max_element does.
#include "kernels/cuda/context.hpp"
#include "kernels/cuda/element.cuh"
#include "kernels/cuda/elementwise.cuh"
#include "kernels/cuda/shared_memory.cuh"

#include <limits>

namespace petnet::kernels::cuda {
namespace {

constexpr int warp_size = 32, rows_of_block = 4;
constexpr unsigned all_lanes = 0xffffffff;

struct softmax_parameters {
    const float* logits;
    const std::int32_t* target;
    float* row_loss;
    std::int32_t* predictions;
    float* dlogits;          // or nullptr; may be logits
    const float* loss_scale; // or nullptr
    int batch, classes;
};

// A maximum and its first index.
struct maximum {
    float value;
    int index;
};

__device__ maximum maximum_of_row(const float* logits, int classes, int lane) {
    // A lane without classes keeps an index that is larger than any: it loses every tie.
    const float first = lane < classes ? logits[lane] : 0.0F;
    maximum found{lane < classes && !isnan(first) ? first : -std::numeric_limits<float>::infinity(), lane};
    for (int c = lane + warp_size; c < classes; c += warp_size)
        if (logits[c] > found.value) found = {logits[c], c};
    for (int step = warp_size / 2; step > 0; step /= 2) {
        const maximum other{__shfl_xor_sync(all_lanes, found.value, step),
                            __shfl_xor_sync(all_lanes, found.index, step)};
        if (other.value > found.value || (other.value == found.value && other.index < found.index))
            found = other;
    }
    const float very_first = __shfl_sync(all_lanes, first, 0);
    return isnan(very_first) ? maximum{very_first, 0} : found;
}

__device__ float sum_of_warp(float value) {
    for (int step = warp_size / 2; step > 0; step /= 2) value += __shfl_xor_sync(all_lanes, value, step);
    return value;
}

__global__ void __launch_bounds__(rows_of_block* warp_size) softmax_rows(softmax_parameters of) {
    const int lane = static_cast<int>(threadIdx.x) % warp_size;
    const int row = static_cast<int>(blockIdx.x) * rows_of_block + static_cast<int>(threadIdx.x) / warp_size;
    if (row >= of.batch) return; // the whole warp
    const float* logits = of.logits + std::int64_t{row} * of.classes;
    const int target = of.target[row];
    const maximum largest = maximum_of_row(logits, of.classes, lane);

    float sum = 0, logit_of_target = 0;
    for (int c = lane; c < of.classes; c += warp_size) {
        const float logit = logits[c] - largest.value;
        sum += expf(logit);
        if (c == target) logit_of_target = logit;
    }
    sum = sum_of_warp(sum);
    logit_of_target = __shfl_sync(all_lanes, logit_of_target, target & (warp_size - 1));
    if (lane == 0) {
        const bool known = target >= 0 && target < of.classes;
        of.row_loss[row] = known ? logf(sum) - logit_of_target : std::numeric_limits<float>::quiet_NaN();
        of.predictions[row] = largest.index;
    }

    if (of.dlogits == nullptr) return;
    const float scale = (of.loss_scale != nullptr ? of.loss_scale[0] : 1.0F) / static_cast<float>(of.batch);
    float* dlogits = of.dlogits + std::int64_t{row} * of.classes;
    for (int c = lane; c < of.classes; c += warp_size) {
        const float probability = expf(logits[c] - largest.value) / sum;
        dlogits[c] = (probability - (c == target ? 1.0F : 0.0F)) * scale;
    }
}

struct staged_losses {
    float at[elementwise_block];
};

// One block: all threads fetch, one adds, so that no addition waits for memory.
__global__ void __launch_bounds__(elementwise_block)
    mean_loss(const float* row_loss, int batch, float* loss) {
    auto& shared = shared_memory<staged_losses>();
    double total = 0;
    for (int first = 0; first < batch; first += static_cast<int>(elementwise_block)) {
        const int row = first + static_cast<int>(threadIdx.x);
        shared.at[threadIdx.x] = row < batch ? row_loss[row] : 0.0F;
        __syncthreads();
        const int rest = batch - first, count = rest < static_cast<int>(elementwise_block)
                                                    ? rest
                                                    : static_cast<int>(elementwise_block);
        if (threadIdx.x == 0)
            for (int i = 0; i < count; ++i) total += static_cast<double>(shared.at[i]);
        __syncthreads();
    }
    if (threadIdx.x == 0) *loss = static_cast<float>(total / batch);
}

} // namespace

std::unique_ptr<operation> prepare(context& cuda, const softmax_cross_entropy& op) {
    const softmax_parameters rows{elements<const float>(op.logits),
                                  elements<const std::int32_t>(op.target),
                                  elements<float>(op.row_loss),
                                  elements<std::int32_t>(op.predictions),
                                  elements<float>(op.dlogits),
                                  elements<const float>(op.loss_scale),
                                  static_cast<int>(op.logits.desc.dims[0]),
                                  static_cast<int>(op.logits.desc.dims[1])};
    return make_operation(0, [stream = cuda.stream(), rows, loss = elements<float>(op.loss)](std::byte*) {
        const auto grid = static_cast<unsigned>(divide_up(rows.batch, rows_of_block));
        launch(stream, grid, rows_of_block * warp_size, softmax_rows, rows);
        launch(stream, 1, elementwise_block, mean_loss, rows.row_loss, rows.batch, loss);
    });
}

} // namespace petnet::kernels::cuda
