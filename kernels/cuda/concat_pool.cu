// SPDX-License-Identifier: Apache-2.0
// Maximum and average of each channel's plane, and their gradient. NHWC activations, row-major f32 features.
//
// A block works on 32 packs of channels of one image, a lane a pack; the plane is cut into one run of pixels
// a warp, so that a 7x7 plane of 512 channels at batch 64 still makes 128 blocks of independent loads. The
// runs are folded in order in shared memory: sums have one order, and the first maximum is the one with the
// lowest index. NaN counts as larger than any number. Padding channels are read and not used; in dx they are
// assigned 0.
#include "kernels/cuda/context.hpp"
#include "kernels/cuda/element.cuh"
#include "kernels/cuda/launch.hpp"
#include "kernels/cuda/layout.hpp"
#include "kernels/cuda/shared_memory.cuh"

namespace petnet::kernels::cuda {
namespace {

constexpr int warp_size = 32, warps = 8;

struct plane_shape {
    plane_shape(const tensor_desc& activation, int pack_channels)
        : channels(static_cast<int>(activation.dims[1])),
          stored(static_cast<int>(stored_channels(activation))),
          pixels(static_cast<int>(activation.dims[2] * activation.dims[3])),
          groups(static_cast<int>(divide_up(stored, pack_channels * warp_size))),
          blocks(activation.dims[0] * groups) {}
    int channels, stored, pixels;
    int groups; // of 32 packs, an image
    std::int64_t blocks;
};

// What a thread works on: image n, channels from c on, pixels [begin, end).
struct plane_place {
    __device__ plane_place(const plane_shape& shape, int pack_channels) {
        const auto groups = static_cast<unsigned>(shape.groups);
        const int lane = static_cast<int>(threadIdx.x) % warp_size;
        const int run = (shape.pixels + warps - 1) / warps;
        n = blockIdx.x / groups;
        warp = static_cast<int>(threadIdx.x) / warp_size;
        group_c = static_cast<int>(blockIdx.x % groups) * warp_size * pack_channels;
        c = group_c + lane * pack_channels;
        begin = warp * run < shape.pixels ? warp * run : shape.pixels;
        end = begin + run < shape.pixels ? begin + run : shape.pixels;
    }
    std::int64_t n;
    int warp, group_c, c, begin, end; // group_c: the block's first channel
};

// `index` < 0: nothing seen yet.
struct plane_statistics {
    float maximum, sum;
    int index;
};

__device__ void see_maximum(plane_statistics& so_far, float value, int index) {
    const bool larger =
        so_far.index < 0 || value > so_far.maximum || (isnan(value) && !isnan(so_far.maximum));
    so_far.maximum = larger ? value : so_far.maximum;
    so_far.index = larger ? index : so_far.index;
}

template <class Element> struct concat_pool_parameters {
    plane_shape shape;
    const Element* x;
    float* y;
    std::int32_t* argmax; // or nullptr
};

template <int Count> struct plane_statistics_of_block {
    static constexpr std::size_t channels{warp_size * Count};
    float maximum[warps][channels], sum[warps][channels];
    int index[warps][channels];
};

template <class Element, int Count>
__global__ void __launch_bounds__(warps* warp_size) concat_pool(concat_pool_parameters<Element> pool) {
    const plane_shape& shape = pool.shape;
    const plane_place place(shape, Count);
    plane_statistics mine[std::size_t{Count}];
    for (int j = 0; j < Count; ++j) mine[j] = {0, 0, -1};
    if (place.c < shape.stored) {
        const Element* pixel = pool.x + (place.n * shape.pixels + place.begin) * shape.stored + place.c;
        for (int i = place.begin; i < place.end; ++i, pixel += shape.stored) {
            const auto values = load_pack<Count>(pixel);
            for (int j = 0; j < Count; ++j) {
                see_maximum(mine[j], to_float(values.at[j]), i);
                mine[j].sum += to_float(values.at[j]);
            }
        }
    }
    auto& shared = shared_memory<plane_statistics_of_block<Count>>();
    for (int j = 0; j < Count; ++j) {
        const int at = place.c - place.group_c + j;
        shared.maximum[place.warp][at] = mine[j].maximum;
        shared.sum[place.warp][at] = mine[j].sum;
        shared.index[place.warp][at] = mine[j].index;
    }
    __syncthreads();
    const auto at = static_cast<int>(threadIdx.x), c = place.group_c + at;
    if (at >= warp_size * Count || c >= shape.channels) return;
    plane_statistics all{0, 0, -1};
    for (int warp = 0; warp < warps; ++warp) {
        if (shared.index[warp][at] < 0) continue;
        see_maximum(all, shared.maximum[warp][at], shared.index[warp][at]);
        all.sum += shared.sum[warp][at];
    }
    float* features = pool.y + place.n * 2 * shape.channels;
    features[c] = all.maximum;
    features[shape.channels + c] = all.sum / static_cast<float>(shape.pixels);
    if (pool.argmax != nullptr) pool.argmax[place.n * shape.channels + c] = all.index;
}

template <class Element> struct concat_pool_gradient_parameters {
    plane_shape shape;
    const float* dy;
    const std::int32_t* argmax; // or nullptr
    Element* dx;
};

template <class Element, int Count>
__global__ void __launch_bounds__(warps* warp_size)
    concat_pool_gradient(concat_pool_gradient_parameters<Element> pool) {
    const plane_shape& shape = pool.shape;
    const plane_place place(shape, Count);
    if (place.c >= shape.stored) return;
    const float* dy = pool.dy + place.n * 2 * shape.channels;
    float of_maximum[std::size_t{Count}], of_average[std::size_t{Count}];
    int index[std::size_t{Count}];
    for (int j = 0; j < Count; ++j) {
        const int c = place.c + j;
        const bool logical = c < shape.channels, goes = logical && pool.argmax != nullptr;
        of_maximum[j] = goes ? dy[c] : 0.0F;
        index[j] = goes ? pool.argmax[place.n * shape.channels + c] : -1;
        of_average[j] = logical ? dy[shape.channels + c] / static_cast<float>(shape.pixels) : 0.0F;
    }
    Element* pixel = pool.dx + (place.n * shape.pixels + place.begin) * shape.stored + place.c;
    for (int i = place.begin; i < place.end; ++i, pixel += shape.stored) {
        pack<Element, Count> dx;
        for (int j = 0; j < Count; ++j)
            dx.at[j] = from_float<Element>(of_average[j] + (i == index[j] ? of_maximum[j] : 0.0F));
        store_pack(pixel, dx);
    }
}

} // namespace

std::unique_ptr<operation> prepare(context& cuda, const concat_pool_forward& op) {
    return with_element(op.x.desc.type, stored_channels(op.x.desc),
                        [&]<class Element, int Count>(Element, std::integral_constant<int, Count>) {
                            const plane_shape shape(op.x.desc, Count);
                            const concat_pool_parameters<Element> pool{shape, elements<const Element>(op.x),
                                                                       elements<float>(op.y),
                                                                       elements<std::int32_t>(op.argmax)};
                            return make_operation(0, [stream = cuda.stream(), pool](std::byte*) {
                                launch(stream, static_cast<unsigned>(pool.shape.blocks), warps * warp_size,
                                       concat_pool<Element, Count>, pool);
                            });
                        });
}

std::unique_ptr<operation> prepare(context& cuda, const concat_pool_backward& op) {
    return with_element(op.dx.desc.type, stored_channels(op.dx.desc),
                        [&]<class Element, int Count>(Element, std::integral_constant<int, Count>) {
                            const plane_shape shape(op.dx.desc, Count);
                            const concat_pool_gradient_parameters<Element> pool{
                                shape, elements<const float>(op.dy), elements<const std::int32_t>(op.argmax),
                                elements<Element>(op.dx)};
                            return make_operation(0, [stream = cuda.stream(), pool](std::byte*) {
                                launch(stream, static_cast<unsigned>(pool.shape.blocks), warps * warp_size,
                                       concat_pool_gradient<Element, Count>, pool);
                            });
                        });
}

} // namespace petnet::kernels::cuda
