// SPDX-License-Identifier: Apache-2.0
// Computes       to = from: 16-bit elements as float32 ones, or float32 ones rounded to 16 bits. cuDNN writes
//                the gradient of weights in the 16 bits of the activations, where the optimizer and the sums
//                over devices want float32; and it reads scale and shift before a convolution in 16 bits.
// Shapes, layout any, as an array of `count` elements, a multiple of 4; packs of 4 elements
// Types          from bf16 or f16 to float32, or back
// Numerics       widening is exact, rounding to nearest, ties to even; infinities and NaN stay what they are
// Writes         assigns every element of `to`
// Determinism    no sums
// Limits         count < 2^33
// Cost           6 bytes an element: 128 MB a step for the weights of ResNet-34; the vectors are two of up to
//                512 elements a layer
// Oracle         the float32 values of the 16-bit ones, in tests
#include "kernels/cuda/convert.hpp"

#include "kernels/cuda/element.cuh"
#include "kernels/cuda/elementwise.cuh"

#include <string>

namespace petnet::kernels::cuda {
namespace {

constexpr int per_thread = 4;

template <class From, class To>
__global__ void __launch_bounds__(elementwise_block)
    convert_elements(const From* from, To* to, unsigned packs) {
    const unsigned item = item_of_thread();
    if (item >= packs) return;
    const std::int64_t at = std::int64_t{item} * per_thread;
    const pack<From, per_thread> values = load_pack<per_thread>(from + at);
    pack<To, per_thread> converted;
    for (int i = 0; i < per_thread; ++i) converted.at[i] = from_float<To>(to_float(values.at[i]));
    store_pack(to + at, converted);
}

// run(zero of the 16-bit type, packs).
template <class Run> void with_half(dtype type, std::int64_t count, const Run& run) {
    if (type == dtype::f32 || count % per_thread != 0)
        throw std::logic_error("16-bit elements in fours are converted, not " + std::to_string(count) +
                               " of " + name_of(type));
    with_element(type, per_thread, [&](auto zero, auto) { run(zero, count / per_thread); });
}

} // namespace

void widen(cudaStream_t stream, dtype type, const std::byte* from, float* to, std::int64_t count) {
    with_half(type, count, [&]<class Element>(Element, std::int64_t packs) {
        launch(stream, elementwise_grid(packs), elementwise_block, convert_elements<Element, float>,
               reinterpret_cast<const Element*>(from), to, static_cast<unsigned>(packs));
    });
}

void round_to(cudaStream_t stream, dtype type, const float* from, std::byte* to, std::int64_t count) {
    with_half(type, count, [&]<class Element>(Element, std::int64_t packs) {
        launch(stream, elementwise_grid(packs), elementwise_block, convert_elements<float, Element>, from,
               reinterpret_cast<Element*>(to), static_cast<unsigned>(packs));
    });
}

} // namespace petnet::kernels::cuda
