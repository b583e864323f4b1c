// SPDX-License-Identifier: Apache-2.0
// Gradients of batch normalisation of activations, with those of its residual and ReLU.
//
// Computes: batch_norm_backward of ops.hpp in three kernels: sums of each block; dgamma, dbeta and the
//   coefficients of dx for each channel; dx.
// Numerics: the sums are of g and g*(x - mean), float32 within a block, double across blocks. ReLU's cut is
//   taken from y, or computed again from x with the rounding of the forward pass.
// With dresidual, the first kernel writes g there, and the last one reads it back instead of dy, dy2 and y:
//   in 16 bits dx is of the rounded g, dgamma and dbeta of the exact one.
// Padding channels: all inputs and coefficients are 0 there, and so are dx and dresidual.
// In place: a thread reads its elements of dy before it writes the same elements of dx or dresidual.
// Cost, in passes over a tensor of x's size; memory bandwidth is the roof:
//                    sums                        dx                      total    without dx
//   no dresidual     dy x (dy2) (y)              dy x (dy2) (y), dx      5..9     2..4
//   dresidual        dy x (dy2) (y), dresidual   dresidual x, dx         6..8     3..5
//   In ResNet: 5 inside a block (cut from x), 7 at its end (y), 8 where two paths meet there (y, dy2). With
//   dresidual written by the last kernel it would be 6, 8, 8, 10 passes for no option, y, dy2, both: no less.
#include "kernels/cuda/batch_norm.cuh"
#include "kernels/cuda/batch_norm_from_sums.hpp"
#include "kernels/cuda/context.hpp"
#include "kernels/cuda/launch.hpp"

#include <type_traits>

namespace petnet::kernels::cuda {
namespace {

// To sum, a thread takes 4 channels: with 8 of 16 bits, its 16 sums and up to 24 coefficients would leave too
// few registers for rows under way.
constexpr int sum_pack = 4;
// Rows under way in a thread: 32 bytes of each of two or three tensors, 16 of each of three or four.
constexpr int unroll_of(std::size_t pack_bytes, bool two_gradients) {
    return (two_gradients ? 16 : 32) / static_cast<int>(pack_bytes);
}

// What decides where ReLU cut.
enum class cut : std::uint8_t { nowhere, by_y, by_x };

template <class Element> struct gradient_inputs { const Element *dy, *dy2, *x, *y; };

template <class Element, int Pack, cut Cut, bool Two> struct gradient_operands {
    using row_pack = pack<Element, Pack>;

    static __device__ gradient_operands load(const gradient_inputs<Element>& from, std::int64_t offset) {
        gradient_operands row;
        row.dy = load_pack<Pack>(from.dy + offset);
        row.x = load_pack<Pack>(from.x + offset);
        if constexpr (Two) row.dy2 = load_pack<Pack>(from.dy2 + offset);
        if constexpr (Cut == cut::by_y) row.y = load_pack<Pack>(from.y + offset);
        return row;
    }

    // The gradient g of channel j; scale and shift count where the cut is by x.
    [[nodiscard]] __device__ float gradient(int j, float scale, float shift) const {
        float g = to_float(dy.at[j]);
        if constexpr (Two) g += to_float(dy2.at[j]);
        if constexpr (Cut == cut::by_y) g = to_float(y.at[j]) <= 0.0F ? 0.0F : g;
        if constexpr (Cut == cut::by_x) g = normalised(to_float(x.at[j]), scale, shift) <= 0.0F ? 0.0F : g;
        return g;
    }

    row_pack dy, x;
    std::conditional_t<Two, row_pack, absent> dy2;
    std::conditional_t<Cut == cut::by_y, row_pack, absent> y;
};

template <class Element> struct sum_parameters {
    batch_norm_partition of;
    gradient_inputs<Element> in;
    const float* saved;
    Element* dresidual; // or nullptr
    float* partial_sums;
};

union sum_memory {
    tile_coefficients<3, sum_pack> tile; // before the rows
    block_sums<sum_pack> sums;           // after them
};

template <class Element, cut Cut, bool Two>
__global__ void __launch_bounds__(batch_norm_threads, blocks_at_once)
    sum_gradients(sum_parameters<Element> p) {
    auto& shared = shared_memory<sum_memory>();
    const batch_norm_place place(p.of, sum_pack);
    fill_tile(shared.tile, p.of, place, [&](int c) -> coefficients<3> {
        const float* saved = p.saved + c;
        if constexpr (Cut != cut::by_x) return {saved[0], 0, 0};
        return {saved[0], saved[2 * p.of.channels], saved[3 * p.of.channels]};
    });
    floats<sum_pack> mean, scale = {}, shift = {};
    if (!place.idle) {
        read_tile<sum_pack>(mean, shared.tile.of[0], place);
        if constexpr (Cut == cut::by_x) {
            read_tile<sum_pack>(scale, shared.tile.of[1], place);
            read_tile<sum_pack>(shift, shared.tile.of[2], place);
        }
    }
    __syncthreads();

    floats<sum_pack> sum_g = {}, sum_gx = {};
    if (!place.idle) {
        using operands = gradient_operands<Element, sum_pack, Cut, Two>;
        const int channel = place.channel();
        upwards<unroll_of(sizeof(pack<Element, sum_pack>), Two)>(
            p.of, place, [&](std::int64_t offset) { return operands::load(p.in, offset + channel); },
            [&](std::int64_t offset, const operands& row) {
                floats<sum_pack> g;
                for (int j = 0; j < sum_pack; ++j) {
                    g[j] = row.gradient(j, scale[j], shift[j]);
                    sum_g[j] += g[j];
                    sum_gx[j] = fmaf(g[j], to_float(row.x.at[j]) - mean[j], sum_gx[j]);
                }
                if (p.dresidual == nullptr) return;
                pack<Element, sum_pack> stored;
                for (int j = 0; j < sum_pack; ++j) stored.at[j] = from_float<Element>(g[j]);
                store_pack(p.dresidual + offset + channel, stored);
            });
    }
    store_block_sums<sum_pack>(shared.sums, p.of, place, sum_g, sum_gx, p.partial_sums);
}

struct finish_parameters {
    batch_norm_partition of;
    const float *partial_sums, *saved;
    float *dgamma, *dbeta;
    float *slope, *offset; // of dx
    bool of_xhat;          // the second sum is of g*xhat, not of g*(x - mean)
};

__global__ void __launch_bounds__(combine_threads) finish_gradients(finish_parameters p) {
    const combine_place place;
    const channel_sums sums = combine_sums(shared_memory<combined_sums>(), p.partial_sums, p.of, place);
    if (place.row != 0 || place.channel >= p.of.channels) return;
    const double sum_gxhat =
        p.of_xhat ? sums.second : sums.second * static_cast<double>(p.saved[p.of.channels + place.channel]);
    const gradient_coefficients found = store_gradients(p.dgamma, p.dbeta, p.saved, place.channel,
                                                        p.of.channels, p.of.rows, sums.first, sum_gxhat);
    p.slope[place.channel] = found.slope;
    p.offset[place.channel] = found.offset;
}

template <class Element> struct apply_parameters {
    batch_norm_partition of;
    gradient_inputs<Element> in;
    const float *saved, *slope, *offset;
    Element* dx;
};

template <class Element, int Pack, cut Cut, bool Two>
__global__ void __launch_bounds__(batch_norm_threads, blocks_at_once)
    apply_gradients(apply_parameters<Element> p) {
    auto& tile = shared_memory<tile_coefficients<4, Pack>>();
    const batch_norm_place place(p.of, Pack);
    fill_tile(tile, p.of, place, [&](int c) -> coefficients<4> {
        const float* saved = p.saved + c;
        const float shift = Cut == cut::by_x ? saved[3 * p.of.channels] : 0.0F;
        return {saved[2 * p.of.channels], p.slope[c], p.offset[c], shift};
    });
    if (place.idle) return;
    floats<Pack> scale, slope, offset_of_dx, shift = {};
    read_tile<Pack>(scale, tile.of[0], place);
    read_tile<Pack>(slope, tile.of[1], place);
    read_tile<Pack>(offset_of_dx, tile.of[2], place);
    if constexpr (Cut == cut::by_x) read_tile<Pack>(shift, tile.of[3], place);

    using operands = gradient_operands<Element, Pack, Cut, Two>;
    const int channel = place.channel();
    downwards<unroll_of(sizeof(pack<Element, Pack>), Two)>(
        p.of, place, [&](std::int64_t offset) { return operands::load(p.in, offset + channel); },
        [&](std::int64_t offset, const operands& row) {
            pack<Element, Pack> dx;
            for (int j = 0; j < Pack; ++j) {
                const float g = row.gradient(j, scale[j], shift[j]), x = to_float(row.x.at[j]);
                dx.at[j] = from_float<Element>(gradient_of_x(g, x, scale[j], {slope[j], offset_of_dx[j]}));
            }
            store_pack(p.dx + offset + channel, dx);
        });
}

// The kernels of each cut, without and with dy2.
template <class Element> using sum_kernel = void (*)(sum_parameters<Element>);
template <class Element> sum_kernel<Element> sum_kernel_of(cut by, bool two) {
    static constexpr sum_kernel<Element> kernels[3][2] = {
        {sum_gradients<Element, cut::nowhere, false>, sum_gradients<Element, cut::nowhere, true>},
        {sum_gradients<Element, cut::by_y, false>, sum_gradients<Element, cut::by_y, true>},
        {sum_gradients<Element, cut::by_x, false>, sum_gradients<Element, cut::by_x, true>}};
    return kernels[static_cast<int>(by)][two ? 1 : 0];
}
template <class Element> using apply_kernel = void (*)(apply_parameters<Element>);
template <class Element, int Pack> apply_kernel<Element> apply_kernel_of(cut by, bool two) {
    static constexpr apply_kernel<Element> kernels[3][2] = {
        {apply_gradients<Element, Pack, cut::nowhere, false>,
         apply_gradients<Element, Pack, cut::nowhere, true>},
        {apply_gradients<Element, Pack, cut::by_y, false>, apply_gradients<Element, Pack, cut::by_y, true>},
        {apply_gradients<Element, Pack, cut::by_x, false>, apply_gradients<Element, Pack, cut::by_x, true>}};
    return kernels[static_cast<int>(by)][two ? 1 : 0];
}

__global__ void __launch_bounds__(batch_norm_threads)
    add_mean(const float* saved, float* beta, int channels) {
    const int c = static_cast<int>(blockIdx.x) * batch_norm_threads + static_cast<int>(threadIdx.x);
    if (c < channels) beta[c] = fmaf(saved[c], saved[2 * channels + c], saved[3 * channels + c]);
}

// From the sums of summing.blocks blocks to dx. coefficients: (2, channels).
template <class Element, int Pack>
void finish(cudaStream_t stream, const batch_norm_backward& op, const batch_norm_partition& summing,
            const float* partial_sums, bool of_xhat, float* coefficients, const gradient_inputs<Element>& in,
            cut by) {
    const int channels = summing.channels;
    float *slope = coefficients, *offset = coefficients + channels;
    const auto* saved = elements<const float>(op.saved);
    launch(stream, grid_of_channels(channels, combine_channels), combine_threads, finish_gradients,
           finish_parameters{summing, partial_sums, saved, elements<float>(op.dgamma),
                             elements<float>(op.dbeta), slope, offset, of_xhat});
    if (!op.dx.present()) return;
    const bool two = in.dy2 != nullptr;
    const batch_norm_partition applying =
        divide_rows(op.x.desc, Pack, unroll_of(sizeof(pack<Element, Pack>), two), most_applying_blocks);
    launch(stream, grid_of(applying), batch_norm_threads, apply_kernel_of<Element, Pack>(by, two),
           apply_parameters<Element>{applying, in, saved, slope, offset, elements<Element>(op.dx)});
}

template <class Element, int Pack>
std::unique_ptr<operation> prepare_for(cudaStream_t stream, const batch_norm_backward& op) {
    const bool two = op.dy2.present();
    const batch_norm_partition summing = divide_rows(
        op.x.desc, sum_pack, unroll_of(sizeof(pack<Element, sum_pack>), two), most_summing_blocks);
    const std::size_t sums_bytes = partial_sums_bytes(summing);
    const std::size_t workspace_bytes =
        sums_bytes + 2 * static_cast<std::size_t>(summing.channels) * sizeof(float);
    return make_operation(workspace_bytes, [stream, op, two, summing, sums_bytes](std::byte* workspace) {
        auto* partial_sums = reinterpret_cast<float*>(workspace);
        auto* coefficients = reinterpret_cast<float*>(workspace + sums_bytes);
        auto* dresidual = elements<Element>(op.dresidual);
        gradient_inputs<Element> in{elements<const Element>(op.dy), elements<const Element>(op.dy2),
                                    elements<const Element>(op.x), elements<const Element>(op.y)};
        cut by = !op.relu ? cut::nowhere : op.y.present() ? cut::by_y : cut::by_x;
        launch(
            stream, grid_of(summing), batch_norm_threads, sum_kernel_of<Element>(by, two),
            sum_parameters<Element>{summing, in, elements<const float>(op.saved), dresidual, partial_sums});
        if (dresidual != nullptr) { // holds g
            in = {dresidual, nullptr, in.x, nullptr};
            by = cut::nowhere;
        }
        finish<Element, Pack>(stream, op, summing, partial_sums, false, coefficients, in, by);
    });
}

} // namespace

void finish_from_sums(cudaStream_t on_stream, const batch_norm_backward& op, const float* sums,
                      float* coefficients) {
    with_element(op.x.desc.type, stored_channels(op.x.desc),
                 [&]<class Element, int Pack>(Element, std::integral_constant<int, Pack>) {
                     constexpr int unroll = 1, one_block = 1;
                     const gradient_inputs<Element> in{elements<const Element>(op.dy), nullptr,
                                                       elements<const Element>(op.x), nullptr};
                     finish<Element, Pack>(on_stream, op, divide_rows(op.x.desc, Pack, unroll, one_block),
                                           sums, true, coefficients, in, cut::nowhere);
                 });
}

void restore_beta(cudaStream_t on_stream, const tensor_view& saved, float* beta) {
    const auto channels = static_cast<int>(saved.desc.dims[1]);
    launch(on_stream, grid_of_channels(channels, batch_norm_threads), batch_norm_threads, add_mean,
           elements<const float>(saved), beta, channels);
}

std::unique_ptr<operation> prepare(context& cuda, const batch_norm_backward& op) {
    if (op.x.desc.dims.rank() == 2) return prepare_features(cuda, op);
    return with_element(op.x.desc.type, stored_channels(op.x.desc),
                        [&]<class Element, int Pack>(Element, std::integral_constant<int, Pack>) {
                            return prepare_for<Element, Pack>(cuda.stream(), op);
                        });
}

} // namespace petnet::kernels::cuda
