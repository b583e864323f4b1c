// SPDX-License-Identifier: Apache-2.0
// Batch normalisation of activations, training and evaluation, with residual and ReLU.
//
// Computes: batch_norm_forward and batch_norm_inference of ops.hpp. Training is three kernels: sums of each
//   block, statistics of each channel, application. Evaluation is the last one alone.
// Numerics: a channel's sums are of x - origin, origin = its element in row 0: where the mean is large beside
//   the deviation, sum(x^2) - M*mean^2 would cancel to nothing, while sum((x - origin)^2) is of the
//   deviation's own size. float32 within a block (some hundred terms a thread), double across blocks and in
//   the statistics. y is computed from the float32 scale and shift of `saved` with one fused multiply-add, as
//   max_pool_forward and batch_norm_backward compute it again. Sums that a convolution brings have no origin:
//   batch_norm_from_sums.hpp says what that costs.
// Padding channels: x, residual, scale and shift are 0, and so is y.
// In place: a thread reads its elements of x and residual before it writes the same elements of y.
// Cost, in passes over a tensor of x's size: training reads x twice, residual once, writes y once (3 or 4; 1
//   without y); evaluation 2 or 3. Memory bandwidth is the roof.
#include "kernels/cuda/batch_norm.cuh"
#include "kernels/cuda/batch_norm_from_sums.hpp"
#include "kernels/cuda/context.hpp"
#include "kernels/cuda/launch.hpp"

#include <type_traits>

namespace petnet::kernels::cuda {
namespace {

// Rows under way in a thread: 64 bytes of each tensor.
constexpr int unroll = 4;

template <class Element> struct sum_parameters {
    batch_norm_partition of;
    const Element* x;
    float* partial_sums;
};

template <class Element, int Pack>
__global__ void __launch_bounds__(batch_norm_threads, blocks_at_once)
    sum_elements(sum_parameters<Element> p) {
    auto& shared = shared_memory<block_sums<Pack>>();
    const batch_norm_place place(p.of, Pack);
    floats<Pack> sum = {}, squares = {};
    if (!place.idle) {
        const Element* x = p.x + place.channel();
        floats<Pack> origin;
        const auto row_0 = load_pack<Pack>(x);
        for (int j = 0; j < Pack; ++j) origin[j] = to_float(row_0.at[j]);
        upwards<unroll>(
            p.of, place, [&](std::int64_t offset) { return load_pack<Pack>(x + offset); },
            [&](std::int64_t, const pack<Element, Pack>& row) {
                for (int j = 0; j < Pack; ++j) {
                    const float centred = to_float(row.at[j]) - origin[j];
                    sum[j] += centred;
                    squares[j] = fmaf(centred, centred, squares[j]);
                }
            });
    }
    store_block_sums<Pack>(shared, p.of, place, sum, squares, p.partial_sums);
}

template <class Element> struct finish_parameters {
    batch_norm_partition of;
    const Element* origin; // of each channel; or nullptr: 0
    const float* partial_sums;
    statistics_outputs to;
};

template <class Element>
__global__ void __launch_bounds__(combine_threads) finish_statistics(finish_parameters<Element> p) {
    const combine_place place;
    const channel_sums sums = combine_sums(shared_memory<combined_sums>(), p.partial_sums, p.of, place);
    if (place.row == 0 && place.channel < p.of.channels)
        store_statistics(p.to, place.channel, p.origin != nullptr ? to_float(p.origin[place.channel]) : 0.0F,
                         sums.first, sums.second);
}

template <class Element> struct apply_parameters {
    batch_norm_partition of;
    const Element *x, *residual;
    Element* y;
    const float* saved; // of training; else nullptr: the running statistics count
    running_statistics running;
    bool relu;
};

template <class Element, int Pack, bool Adds>
__global__ void __launch_bounds__(batch_norm_threads, blocks_at_once) apply(apply_parameters<Element> p) {
    auto& tile = shared_memory<tile_coefficients<2, Pack>>();
    const batch_norm_place place(p.of, Pack);
    fill_tile(tile, p.of, place, [&](int c) -> coefficients<2> {
        if (p.saved != nullptr) return {p.saved[2 * p.of.channels + c], p.saved[3 * p.of.channels + c]};
        const running_coefficients found(p.running, c);
        return {found.scale, found.shift};
    });
    if (place.idle) return;
    floats<Pack> scale, shift;
    read_tile<Pack>(scale, tile.of[0], place);
    read_tile<Pack>(shift, tile.of[1], place);

    struct operands {
        pack<Element, Pack> x;
        std::conditional_t<Adds, pack<Element, Pack>, absent> residual;
    };
    const int channel = place.channel();
    downwards<unroll>(
        p.of, place,
        [&](std::int64_t offset) {
            operands row;
            row.x = load_pack<Pack>(p.x + offset + channel);
            if constexpr (Adds) row.residual = load_pack<Pack>(p.residual + offset + channel);
            return row;
        },
        [&](std::int64_t offset, const operands& row) {
            pack<Element, Pack> y;
            for (int j = 0; j < Pack; ++j) {
                float value = normalised(to_float(row.x.at[j]), scale[j], shift[j]);
                if constexpr (Adds) value += to_float(row.residual.at[j]);
                y.at[j] = from_float<Element>(p.relu ? relu(value) : value);
            }
            store_pack(p.y + offset + channel, y);
        });
}

struct save_parameters {
    running_statistics running;
    float* saved;
    int channels;
};

__global__ void __launch_bounds__(batch_norm_threads) save_running(save_parameters p) {
    const int c = static_cast<int>(blockIdx.x) * batch_norm_threads + static_cast<int>(threadIdx.x);
    if (c >= p.channels) return;
    const running_coefficients found(p.running, c);
    p.saved[c] = p.running.mean[c];
    p.saved[p.channels + c] = found.inverse_deviation;
    p.saved[2 * p.channels + c] = found.scale;
    p.saved[3 * p.channels + c] = found.shift;
}

template <class Element, int Pack, class Op>
void launch_apply(cudaStream_t stream, const Op& op, const float* saved) {
    const apply_parameters<Element> parameters{
        divide_rows(op.x.desc, Pack, unroll, most_applying_blocks),
        elements<const Element>(op.x),
        elements<const Element>(op.residual),
        elements<Element>(op.y),
        saved,
        {elements<const float>(op.gamma), elements<const float>(op.beta),
         elements<const float>(op.running_mean), elements<const float>(op.running_variance)},
        op.relu};
    launch(stream, grid_of(parameters.of), batch_norm_threads,
           op.residual.present() ? apply<Element, Pack, true> : apply<Element, Pack, false>, parameters);
}

// From the sums of of.blocks blocks to y.
template <class Element, int Pack>
void finish(cudaStream_t stream, const batch_norm_forward& op, const batch_norm_partition& of,
            const float* partial_sums, const Element* origin) {
    const statistics_outputs to{elements<const float>(op.gamma),
                                elements<const float>(op.beta),
                                elements<float>(op.running_mean),
                                elements<float>(op.running_variance),
                                elements<float>(op.saved),
                                of.rows,
                                of.channels};
    launch(stream, grid_of_channels(of.channels, combine_channels), combine_threads,
           finish_statistics<Element>, finish_parameters<Element>{of, origin, partial_sums, to});
    if (op.y.present()) launch_apply<Element, Pack>(stream, op, to.saved);
}

template <class Element, int Pack>
std::unique_ptr<operation> prepare_for(cudaStream_t stream, const batch_norm_forward& op) {
    const batch_norm_partition of = divide_rows(op.x.desc, Pack, unroll, most_summing_blocks);
    return make_operation(partial_sums_bytes(of), [stream, op, of](std::byte* workspace) {
        const auto* x = elements<const Element>(op.x);
        auto* partial_sums = reinterpret_cast<float*>(workspace);
        launch(stream, grid_of(of), batch_norm_threads, sum_elements<Element, Pack>,
               sum_parameters<Element>{of, x, partial_sums});
        finish<Element, Pack>(stream, op, of, partial_sums, x);
    });
}

template <class Element, int Pack>
std::unique_ptr<operation> prepare_for(cudaStream_t stream, const batch_norm_inference& op) {
    return make_operation(0, [stream, op](std::byte*) {
        if (op.saved.present()) {
            const save_parameters parameters{{elements<const float>(op.gamma), elements<const float>(op.beta),
                                              elements<const float>(op.running_mean),
                                              elements<const float>(op.running_variance)},
                                             elements<float>(op.saved),
                                             static_cast<int>(op.x.desc.dims[1])};
            launch(stream, grid_of_channels(parameters.channels, batch_norm_threads), batch_norm_threads,
                   save_running, parameters);
        }
        if (op.y.present()) launch_apply<Element, Pack>(stream, op, nullptr);
    });
}

template <class Op> std::unique_ptr<operation> prepare_any(context& cuda, const Op& op) {
    if (op.x.desc.dims.rank() == 2) return prepare_features(cuda, op);
    return with_element(op.x.desc.type, stored_channels(op.x.desc),
                        [&]<class Element, int Pack>(Element, std::integral_constant<int, Pack>) {
                            return prepare_for<Element, Pack>(cuda.stream(), op);
                        });
}

} // namespace

void finish_from_sums(cudaStream_t on_stream, const batch_norm_forward& op, const float* sums) {
    with_element(op.x.desc.type, stored_channels(op.x.desc),
                 [&]<class Element, int Pack>(Element, std::integral_constant<int, Pack>) {
                     constexpr int one_block = 1;
                     finish<Element, Pack>(on_stream, op, divide_rows(op.x.desc, Pack, unroll, one_block),
                                           sums, nullptr);
                 });
}

void apply_saved(cudaStream_t on_stream, const tensor_view& x, const tensor_view& saved, std::byte* y) {
    batch_norm_forward op;
    op.x = x;
    op.y = {x.desc, y};
    op.relu = true;
    with_element(x.desc.type, stored_channels(x.desc),
                 [&]<class Element, int Pack>(Element, std::integral_constant<int, Pack>) {
                     launch_apply<Element, Pack>(on_stream, op, elements<const float>(saved));
                 });
}

std::unique_ptr<operation> prepare(context& cuda, const batch_norm_forward& op) {
    return prepare_any(cuda, op);
}
std::unique_ptr<operation> prepare(context& cuda, const batch_norm_inference& op) {
    return prepare_any(cuda, op);
}

} // namespace petnet::kernels::cuda
