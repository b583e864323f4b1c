// SPDX-License-Identifier: Apache-2.0
// Dropout of a row-major f32 (batch, features) tensor: a thread works on 4 neighbours in a row, and finds the
// row's key once for them.
//
// The comparison is made in integers: uniform(i) is k * 2^-53 with the integer k = bits(i) >> 11, both exact
// in double. So uniform(i) >= probability exactly where k >= probability * 2^53, a product that is exact as
// well (a power of two), and k being an integer, where k >= ceil(probability * 2^53).
#include "base/random.hpp"
#include "kernels/cuda/context.hpp"
#include "kernels/cuda/elementwise.cuh"

#include <cmath>

namespace petnet::kernels::cuda {
namespace {

constexpr int per_thread = 4;

struct dropout_parameters {
    const float* x;
    const std::uint64_t* row_keys;
    float* y; // may be x
    std::uint64_t layer, threshold;
    float scale; // of what is kept
    unsigned features, threads_in_row, threads;
};

__global__ void __launch_bounds__(elementwise_block) drop(dropout_parameters of) {
    const unsigned item = item_of_thread();
    if (item >= of.threads) return;
    const unsigned row = item / of.threads_in_row, first = item % of.threads_in_row * per_thread;
    const random_key key = random_key::from_state(of.row_keys[row]).child(of.layer);
    const std::int64_t start = std::int64_t{row} * of.features;
    for (unsigned i = first; i < first + per_thread && i < of.features; ++i) {
        const bool keep = key.bits(i) >> 11 >= of.threshold;
        of.y[start + i] = keep ? of.x[start + i] * of.scale : 0.0F;
    }
}

} // namespace

std::unique_ptr<operation> prepare(context& cuda, const dropout& op) {
    const std::int64_t batch = op.x.desc.dims[0], features = op.x.desc.dims[1];
    const std::int64_t threads_in_row = divide_up(features, per_thread), threads = batch * threads_in_row;
    const dropout_parameters parameters{elements<const float>(op.x),
                                        elements<const std::uint64_t>(op.row_keys),
                                        elements<float>(op.y),
                                        op.layer,
                                        static_cast<std::uint64_t>(std::ceil(op.probability * 0x1p53)),
                                        static_cast<float>(1 / (1 - op.probability)),
                                        static_cast<unsigned>(features),
                                        static_cast<unsigned>(threads_in_row),
                                        static_cast<unsigned>(threads)};
    return make_operation(0, [stream = cuda.stream(), grid = elementwise_grid(threads), parameters](
                                 std::byte*) { launch(stream, grid, elementwise_block, drop, parameters); });
}

} // namespace petnet::kernels::cuda
