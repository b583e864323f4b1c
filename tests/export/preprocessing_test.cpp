// SPDX-License-Identifier: Apache-2.0
// The matrix that samples a square, against the operation that does it in training.
#include "export/preprocessing.hpp"

#include "base/random.hpp"
#include "kernels/backend.hpp"

#include <array>
#include <gtest/gtest.h>

using namespace petnet;

namespace {

TEST(sampling_matrix, is_what_the_network_sees) {
    const auto device = kernels::make_backend("reference");
    for (const auto& [in, out] :
         {std::pair<std::int64_t, std::int64_t>{66, 32}, {60, 32}, {47, 5}, {32, 32}}) {
        std::vector<std::uint8_t> pixels(static_cast<std::size_t>(in * in * 3));
        for (std::size_t i = 0; i < pixels.size(); ++i)
            pixels[i] = static_cast<std::uint8_t>(random_key(3).bits(i));
        const kernels::tensor_desc photo{kernels::dtype::u8, {1, in, in, 3}},
            image = device->activation(kernels::dtype::f32, {1, 3, out, out});
        const auto photo_memory = device->allocate(device->storage_bytes(photo)),
                   image_memory = device->allocate(device->storage_bytes(image));
        const kernels::tensor_view p{photo, photo_memory.get()}, y{image, image_memory.get()};
        device->write_bytes(p, std::as_bytes(std::span(pixels)));
        const auto sample = device->prepare(kernels::sampled_photo_to_tensor{p, {}, y, {0, 0, 0}, {1, 1, 1}});
        const auto workspace = device->allocate(sample->workspace_bytes());
        sample->execute(workspace.get());
        std::vector<float> expected(static_cast<std::size_t>(3 * out * out));
        device->read(y, std::span<float>(expected));

        const std::vector<float> a = exporting::sampling_matrix(in, out);
        const auto at = [](std::int64_t row, std::int64_t columns, std::int64_t column) {
            return static_cast<std::size_t>(row * columns + column);
        };
        for (std::int64_t c = 0; c < 3; ++c)
            for (std::int64_t h = 0; h < out; ++h)
                for (std::int64_t w = 0; w < out; ++w) {
                    double sum = 0;
                    for (std::int64_t i = 0; i < in; ++i)
                        for (std::int64_t j = 0; j < in; ++j)
                            sum += static_cast<double>(a[at(h, in, i)]) *
                                   static_cast<double>(a[at(w, in, j)]) * pixels[at(i * in + j, 3, c)];
                    // Weights in float32: each of some ten terms is off by at most 2^-24 of itself.
                    ASSERT_NEAR(sum / 255, expected[at(c * out + h, out, w)], 2e-6) << in << " to " << out;
                }
    }
}

} // namespace
