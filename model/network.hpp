// SPDX-License-Identifier: Apache-2.0
// ResNet-34 (He et al. 2015) with fastai's head, as data: a list of convolution units and the head's widths.
// Nothing here computes; plan.hpp turns the list into operations.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace petnet::model {

struct network_config {
    std::int64_t classes = 2;
    std::int64_t stem_channels = 64;
    std::vector<std::int64_t> stage_channels{64, 128, 256, 512};
    std::vector<std::int64_t> stage_blocks{
        3, 4, 6, 3}; // basic blocks; the first of a stage but the first halves the image
    std::int64_t head_width = 512;
    double head_dropout_1 = 0.25, head_dropout_2 = 0.5;
};

// Convolution, batch-norm, and perhaps a residual, ReLU and 3x3/2 max-pool, in this order.
struct convolution_unit {
    std::string convolution, batch_norm; // "layer2.0.downsample.0", "layer2.0.downsample.1"
    std::int64_t in_channels = 0, out_channels = 0, kernel = 0, stride = 1, padding = 0;
    std::size_t group = 0;                 // parameter group: 0 or 1
    std::size_t input = 0;                 // activation: 0 is the image, i+1 the output of unit i
    std::optional<std::size_t> residual{}; // activation added before ReLU
    bool relu = false, max_pool = false;
};

struct network {
    network_config config;
    std::vector<convolution_unit> units; // in the order of the forward pass; the last one feeds the head

    // concat pool -> bn1 -> dropout -> fc1, ReLU -> bn2 -> dropout -> fc2
    [[nodiscard]] std::int64_t features() const { return 2 * units.back().out_channels; }
};

// The three parameter groups of fastai's splitter: stem and the first half of the stages, the rest of the
// body, the head.
inline constexpr std::size_t parameter_groups = 3, head_group = 2;

// Units in torchvision's names ("conv1", "layer1.0.conv1", ...). std::logic_error for a config without
// stages.
[[nodiscard]] network make_resnet(const network_config& config);

} // namespace petnet::model
