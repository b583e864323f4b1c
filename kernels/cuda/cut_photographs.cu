// SPDX-License-Identifier: Apache-2.0
// The squares of a batch from photographs in the GPU's memory: one thread a pixel.
//
// Computes: cut_photographs of ops.hpp, in integers: the same bits as on the host.
// Bandwidth: a pixel reads 3 bytes for each of its weights (two to a dozen) and writes 3. The threads of a
// warp
//   read along a row: with a vertical free axis the same 96 bytes of each source row, else bytes that overlap
//   with the neighbours' and hit L1. The weights of a row are the same for a whole warp, or come from L1.
#include "kernels/cuda/context.hpp"
#include "kernels/cuda/elementwise.cuh"
#include "kernels/cuda/layout.hpp"

namespace petnet::kernels::cuda {
namespace {

constexpr int weight_bits = 22; // fraction of a weight

struct cut_parameters {
    const std::uint8_t* store;
    const std::int32_t* tables;
    const cut_place* places; // of block y
    std::uint8_t* pixels;
    unsigned size;
};

__device__ std::uint8_t to_byte(int sum) {
    const int value = sum >> weight_bits;
    return static_cast<std::uint8_t>(value < 0 ? 0 : value > 255 ? 255 : value);
}

__global__ void __launch_bounds__(elementwise_block) cut(cut_parameters p) {
    const unsigned pixel = item_of_thread(), area = p.size * p.size;
    if (pixel >= area) return;
    const cut_place place = p.places[blockIdx.y];
    const unsigned row = pixel / p.size, column = pixel % p.size;
    const bool vertical = place.vertical != 0;
    const std::uint64_t i = vertical ? row : column, j = vertical ? column : row;
    const std::uint64_t along = vertical ? place.stride : 3, across = vertical ? 3 : place.stride;

    const std::int32_t* table = p.tables + place.table + i * (2 + place.taps);
    const std::uint8_t* from =
        p.store + place.source + static_cast<std::uint64_t>(table[0]) * along + j * across;
    const int count = table[1];
    int red = 1 << (weight_bits - 1), green = red, blue = red;
    for (int k = 0; k < count; ++k, from += along) {
        const int weight = table[2 + k];
        red += weight * from[0];
        green += weight * from[1];
        blue += weight * from[2];
    }
    std::uint8_t* to = p.pixels + 3 * (std::uint64_t{blockIdx.y} * area + pixel);
    to[0] = to_byte(red);
    to[1] = to_byte(green);
    to[2] = to_byte(blue);
}

} // namespace

std::unique_ptr<operation> prepare(context& cuda, const cut_photographs& op) {
    const shape& dims = op.pixels.desc.dims;
    dim3 grid = elementwise_grid(dims[1] * dims[2]);
    grid.y = static_cast<unsigned>(dims[0]);
    const cut_parameters parameters{elements<const std::uint8_t>(op.store),
                                    elements<const std::int32_t>(op.tables),
                                    elements<const cut_place>(op.places), elements<std::uint8_t>(op.pixels),
                                    static_cast<unsigned>(dims[1])};
    return make_operation(0, [stream = cuda.stream(), grid, parameters](std::byte*) {
        launch(stream, grid, elementwise_block, cut, parameters);
    });
}

} // namespace petnet::kernels::cuda
