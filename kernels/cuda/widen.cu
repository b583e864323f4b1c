// SPDX-License-Identifier: Apache-2.0
// Computes       to = from: 16-bit elements as float32 ones. cuDNN writes the gradient of weights in the 16
// bits
//                of the activations; the optimizer and the sums over devices want float32.
// Shapes, layout any, as an array of `count` elements, a multiple of 4; packs of 4 elements
// Types          from bf16 or f16, to float32
// Numerics       exact; infinities and NaN stay what they are
// Writes         assigns every element of `to`
// Determinism    no sums
// Limits         count < 2^33
// Cost           6 bytes an element: 128 MB a step for the convolutions of ResNet-34
// Oracle         the float32 values of the 16-bit ones, in tests
#include "kernels/cuda/widen.hpp"

#include "kernels/cuda/element.cuh"
#include "kernels/cuda/elementwise.cuh"

#include <string>

namespace petnet::kernels::cuda {
namespace {

constexpr int per_thread = 4;

template <class Element>
__global__ void __launch_bounds__(elementwise_block)
    widen_elements(const Element* from, float* to, unsigned packs) {
    const unsigned item = item_of_thread();
    if (item >= packs) return;
    const std::int64_t at = std::int64_t{item} * per_thread;
    const pack<Element, per_thread> values = load_pack<per_thread>(from + at);
    pack<float, per_thread> wide;
    for (int i = 0; i < per_thread; ++i) wide.at[i] = to_float(values.at[i]);
    store_pack(to + at, wide);
}

} // namespace

void widen(cudaStream_t stream, dtype type, const std::byte* from, float* to, std::int64_t count) {
    if (type == dtype::f32 || count % per_thread != 0)
        throw std::logic_error("widen: 16-bit elements in fours, not " + std::to_string(count) + " of " +
                               name_of(type));
    with_element(type, per_thread, [&](auto zero, auto) {
        using element = decltype(zero);
        const std::int64_t packs = count / per_thread;
        launch(stream, elementwise_grid(packs), elementwise_block, widen_elements<element>,
               reinterpret_cast<const element*>(from), to, static_cast<unsigned>(packs));
    });
}

} // namespace petnet::kernels::cuda
