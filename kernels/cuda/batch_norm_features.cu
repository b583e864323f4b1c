// SPDX-License-Identifier: Apache-2.0
// Batch normalisation of feature vectors (batch, channels), row-major f32, and its gradients: in the head.
//
// Computes: batch_norm_forward, batch_norm_inference and batch_norm_backward of ops.hpp for x of rank 2.
// One kernel each: the problem is a few hundred kilobytes, so that launches and waiting for loads are its
//   cost. A block owns 32 channels, has 32 rows of threads and sees the whole batch, first for the sums,
//   then, out of the caches, to apply them.
// Numerics: sums of x - origin as in batch_norm_forward.cu; float32 in a thread, double across threads.
// In place: a thread reads an element of every input before it writes that element of an output.
#include "kernels/cuda/batch_norm.cuh"
#include "kernels/cuda/context.hpp"
#include "kernels/cuda/launch.hpp"

namespace petnet::kernels::cuda {
namespace {

constexpr int threads = feature_channels * feature_rows;

// A thread's channel and first row, in steps of feature_rows. The last block's threads past the channels are
// idle.
struct feature_place {
    __device__ explicit feature_place(int channels)
        : column(static_cast<int>(threadIdx.x) % feature_channels),
          row(static_cast<int>(threadIdx.x) / feature_channels),
          channel(static_cast<int>(blockIdx.x) * feature_channels + column),
          idle(channel >= channels) {}
    int column, row, channel;
    bool idle;
};

struct feature_extents {
    explicit feature_extents(const tensor_view& x)
        : rows(x.desc.dims[0]), channels(static_cast<int>(x.desc.dims[1])) {}
    std::int64_t rows;
    int channels;
    // run(offset) for the thread's elements.
    template <class Run> __device__ void for_each(const feature_place& place, const Run& run) const {
        for (std::int64_t row = place.row; row < rows; row += feature_rows)
            run(row * channels + place.channel);
    }
};

struct feature_memory {
    channel_sums sums[feature_rows][feature_channels];
    gradient_coefficients coefficients[feature_channels];
};

// The channel's sums over all rows of threads, in their order; whole in the threads of row 0. Called by all
// threads.
__device__ channel_sums add_rows(feature_memory& shared, const feature_place& place, float first,
                                 float second) {
    channel_sums sums{static_cast<double>(first), static_cast<double>(second)};
    shared.sums[place.row][place.column] = sums;
    __syncthreads();
    if (place.row == 0)
        for (int row = 1; row < feature_rows; ++row) sums += shared.sums[row][place.column];
    return sums;
}

struct apply_parameters {
    feature_extents of;
    const float *x, *residual; // residual or nullptr
    float* y;                  // or nullptr
    bool relu;
};

__device__ void apply(const apply_parameters& p, const feature_place& place, float scale, float shift) {
    if (p.y == nullptr) return;
    p.of.for_each(place, [&](std::int64_t i) {
        float value = normalised(p.x[i], scale, shift);
        if (p.residual != nullptr) value += p.residual[i];
        p.y[i] = p.relu ? relu(value) : value;
    });
}

struct forward_parameters {
    apply_parameters apply;
    statistics_outputs to;
};

__global__ void __launch_bounds__(threads) normalise_features(forward_parameters p) {
    const feature_place place(p.to.channels);
    float origin = 0, sum = 0, squares = 0;
    if (!place.idle) {
        origin = p.apply.x[place.channel];
        p.apply.of.for_each(place, [&](std::int64_t i) {
            const float centred = p.apply.x[i] - origin;
            sum += centred;
            squares = fmaf(centred, centred, squares);
        });
    }
    const channel_sums sums = add_rows(shared_memory<feature_memory>(), place, sum, squares);
    if (place.row == 0 && !place.idle) store_statistics(p.to, place.channel, origin, sums.first, sums.second);
    __syncthreads(); // `saved` is read by the block that wrote it
    if (place.idle) return;
    apply(p.apply, place, p.to.saved[2 * p.to.channels + place.channel],
          p.to.saved[3 * p.to.channels + place.channel]);
}

struct inference_parameters {
    apply_parameters apply;
    running_statistics running;
    float* saved; // or nullptr
};

__global__ void __launch_bounds__(threads) apply_running_to_features(inference_parameters p) {
    const int channels = p.apply.of.channels;
    const feature_place place(channels);
    if (place.idle) return;
    const running_coefficients found(p.running, place.channel);
    if (p.saved != nullptr && place.row == 0) {
        p.saved[place.channel] = p.running.mean[place.channel];
        p.saved[channels + place.channel] = found.inverse_deviation;
        p.saved[2 * channels + place.channel] = found.scale;
        p.saved[3 * channels + place.channel] = found.shift;
    }
    apply(p.apply, place, found.scale, found.shift);
}

struct backward_parameters {
    feature_extents of;
    const float *dy, *dy2, *x, *y; // dy2 and y or nullptr
    const float* saved;
    float *dx, *dresidual; // or nullptr
    float *dgamma, *dbeta;
    bool relu;
};

__global__ void __launch_bounds__(threads) differentiate_features(backward_parameters p) {
    auto& shared = shared_memory<feature_memory>();
    const int channels = p.of.channels;
    const feature_place place(channels);
    float mean = 0, scale = 0, shift = 0;
    if (!place.idle) {
        mean = p.saved[place.channel];
        scale = p.saved[2 * channels + place.channel];
        shift = p.saved[3 * channels + place.channel];
    }
    const auto gradient = [&](std::int64_t i) {
        const float g = p.dy2 != nullptr ? p.dy[i] + p.dy2[i] : p.dy[i];
        if (!p.relu) return g;
        const float output = p.y != nullptr ? p.y[i] : normalised(p.x[i], scale, shift);
        return output <= 0.0F ? 0.0F : g;
    };
    float sum_g = 0, sum_gx = 0;
    if (!place.idle)
        p.of.for_each(place, [&](std::int64_t i) {
            const float g = gradient(i);
            sum_g += g;
            sum_gx = fmaf(g, p.x[i] - mean, sum_gx);
        });
    const channel_sums sums = add_rows(shared, place, sum_g, sum_gx);
    if (place.row == 0 && !place.idle)
        shared.coefficients[place.column] =
            store_gradients(p.dgamma, p.dbeta, p.saved, place.channel, channels, p.of.rows, sums.first,
                            sums.second * static_cast<double>(p.saved[channels + place.channel]));
    __syncthreads();
    if (place.idle) return;
    const gradient_coefficients coefficients = shared.coefficients[place.column];
    p.of.for_each(place, [&](std::int64_t i) {
        const float g = gradient(i), x = p.x[i];
        if (p.dresidual != nullptr) p.dresidual[i] = g;
        if (p.dx != nullptr) p.dx[i] = gradient_of_x(g, x, scale, coefficients);
    });
}

template <class Op> apply_parameters apply_of(const Op& op) {
    return {feature_extents(op.x), elements<const float>(op.x), elements<const float>(op.residual),
            elements<float>(op.y), op.relu};
}

template <class Parameters>
std::unique_ptr<operation> one_kernel(context& cuda, const tensor_view& x, void (*kernel)(Parameters),
                                      const Parameters& parameters) {
    const dim3 grid = grid_of_channels(feature_extents(x).channels, feature_channels);
    return make_operation(0, [stream = cuda.stream(), grid, kernel, parameters](std::byte*) {
        launch(stream, grid, threads, kernel, parameters);
    });
}

} // namespace

std::unique_ptr<operation> prepare_features(context& cuda, const batch_norm_forward& op) {
    const feature_extents of(op.x);
    return one_kernel(
        cuda, op.x, normalise_features,
        forward_parameters{apply_of(op),
                           {elements<const float>(op.gamma), elements<const float>(op.beta),
                            elements<float>(op.running_mean), elements<float>(op.running_variance),
                            elements<float>(op.saved), of.rows, of.channels}});
}

std::unique_ptr<operation> prepare_features(context& cuda, const batch_norm_inference& op) {
    return one_kernel(cuda, op.x, apply_running_to_features,
                      inference_parameters{apply_of(op),
                                           {elements<const float>(op.gamma), elements<const float>(op.beta),
                                            elements<const float>(op.running_mean),
                                            elements<const float>(op.running_variance)},
                                           elements<float>(op.saved)});
}

std::unique_ptr<operation> prepare_features(context& cuda, const batch_norm_backward& op) {
    return one_kernel(cuda, op.x, differentiate_features,
                      backward_parameters{feature_extents(op.x), elements<const float>(op.dy),
                                          elements<const float>(op.dy2), elements<const float>(op.x),
                                          elements<const float>(op.y), elements<const float>(op.saved),
                                          elements<float>(op.dx), elements<float>(op.dresidual),
                                          elements<float>(op.dgamma), elements<float>(op.dbeta), op.relu});
}

} // namespace petnet::kernels::cuda
