// SPDX-License-Identifier: Apache-2.0
// Photographs to activations: one thread a pixel, which reads 3 bytes and stores all stored channels.
//
// Numerics: p/255 is never formed. y = p * scale + shift in one fmaf, with scale = 1 / (255 * deviation) and
//   shift = -mean / deviation rounded once from double: the error is at most 1.5 units in the last place of
//   the largest term.
// Bandwidth: 3 bytes read and 8 (16-bit) or 16 (float32) bytes written a pixel. The three byte loads of a
// warp
//   fall on the same 96 bytes, so that two of them hit L1.
#include "kernels/cuda/context.hpp"
#include "kernels/cuda/element.cuh"
#include "kernels/cuda/elementwise.cuh"
#include "kernels/cuda/layout.hpp"

namespace petnet::kernels::cuda {
namespace {

constexpr int colours = 3;

template <class Element> struct photo_parameters {
    const std::uint8_t* pixels;
    Element* y;
    unsigned count; // of pixels
    int stored;     // channels of y
    float scale[colours], shift[colours];
};

template <class Element, int Count>
__global__ void __launch_bounds__(elementwise_block) convert_photo(photo_parameters<Element> photo) {
    const unsigned pixel = item_of_thread();
    if (pixel >= photo.count) return;
    const std::uint8_t* from = photo.pixels + std::int64_t{colours} * pixel;
    Element* to = photo.y + std::int64_t{photo.stored} * pixel;
    pack<Element, Count> values;
    for (int c = 0; c < Count; ++c)
        values.at[c] = from_float<Element>(
            c < colours ? fmaf(static_cast<float>(from[c]), photo.scale[c], photo.shift[c]) : 0.0F);
    store_pack(to, values);
    for (int c = 0; c < colours; ++c) values.at[c] = from_float<Element>(0.0F);
    for (int first = Count; first < photo.stored; first += Count) store_pack(to + first, values);
}

} // namespace

std::unique_ptr<operation> prepare(context& cuda, const photo_to_tensor& op) {
    const std::int64_t count = op.pixels.desc.dims.elements() / colours;
    const auto stored = static_cast<int>(stored_channels(op.y.desc));
    return with_element(op.y.desc.type, stored,
                        [&]<class Element, int Count>(Element, std::integral_constant<int, Count>) {
                            photo_parameters<Element> photo{elements<const std::uint8_t>(op.pixels),
                                                            elements<Element>(op.y),
                                                            static_cast<unsigned>(count),
                                                            stored,
                                                            {},
                                                            {}};
                            for (std::size_t c = 0; c < colours; ++c) {
                                const auto mean = static_cast<double>(op.mean[c]),
                                           deviation = static_cast<double>(op.deviation[c]);
                                photo.scale[c] = static_cast<float>(1 / (255 * deviation));
                                photo.shift[c] = static_cast<float>(-mean / deviation);
                            }
                            return make_operation(0, [stream = cuda.stream(), grid = elementwise_grid(count),
                                                      photo](std::byte*) {
                                launch(stream, grid, elementwise_block, convert_photo<Element, Count>, photo);
                            });
                        });
}

} // namespace petnet::kernels::cuda
