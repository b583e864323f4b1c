// SPDX-License-Identifier: Apache-2.0
// ResNet-34's real shapes on 224x224 photographs, for one image: what tests and benches work on.
#pragma once

#include "kernels/ops.hpp"

#include <array>
#include <cstdint>
#include <string_view>

namespace petnet::kernels {

// `repeats`: how many layers of the network have this shape.
struct convolution_problem {
    std::string_view name;
    int repeats;
    convolution_shape shape; // batch 1
};

inline constexpr std::array resnet34_convolutions{
    convolution_problem{"conv1", 1, {1, 3, 224, 224, 64, 7, 2, 3}},
    convolution_problem{"layer1", 6, {1, 64, 56, 56, 64, 3, 1, 1}},
    convolution_problem{"layer2.0.conv1", 1, {1, 64, 56, 56, 128, 3, 2, 1}},
    convolution_problem{"layer2.0.downsample", 1, {1, 64, 56, 56, 128, 1, 2, 0}},
    convolution_problem{"layer2", 7, {1, 128, 28, 28, 128, 3, 1, 1}},
    convolution_problem{"layer3.0.conv1", 1, {1, 128, 28, 28, 256, 3, 2, 1}},
    convolution_problem{"layer3.0.downsample", 1, {1, 128, 28, 28, 256, 1, 2, 0}},
    convolution_problem{"layer3", 11, {1, 256, 14, 14, 256, 3, 1, 1}},
    convolution_problem{"layer4.0.conv1", 1, {1, 256, 14, 14, 512, 3, 2, 1}},
    convolution_problem{"layer4.0.downsample", 1, {1, 256, 14, 14, 512, 1, 2, 0}},
    convolution_problem{"layer4", 5, {1, 512, 7, 7, 512, 3, 1, 1}},
};

// Activations (1, channels, height, width) with what is done to them.
struct activation_problem {
    std::string_view name;
    int repeats;
    std::int64_t channels, height, width;
    [[nodiscard]] shape dims(std::int64_t batch) const { return {batch, channels, height, width}; }
};

// One batch norm after each convolution.
inline constexpr std::array resnet34_batch_norms{
    activation_problem{"bn1", 1, 64, 112, 112},      activation_problem{"layer1.bn", 6, 64, 56, 56},
    activation_problem{"layer2.bn", 9, 128, 28, 28}, activation_problem{"layer3.bn", 13, 256, 14, 14},
    activation_problem{"layer4.bn", 7, 512, 7, 7},
};
inline constexpr activation_problem resnet34_max_pool{"maxpool", 1, 64, 112, 112};
inline constexpr activation_problem resnet34_concat_pool{"head.pool", 1, 512, 7, 7};

// The head: (in, out) of its linear layers; the last one's `out` is the number of classes, here of the
// breeds.
struct linear_problem {
    std::string_view name;
    std::int64_t in, out;
};
inline constexpr std::array resnet34_linears{linear_problem{"head.fc1", 1024, 512},
                                             linear_problem{"head.fc2", 512, 37}};

[[nodiscard]] constexpr convolution_shape with_batch(convolution_shape shape, std::int64_t batch) noexcept {
    shape.batch = batch;
    return shape;
}

} // namespace petnet::kernels
