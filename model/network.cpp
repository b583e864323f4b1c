// SPDX-License-Identifier: Apache-2.0
#include "model/network.hpp"

#include <stdexcept>

namespace petnet::model {

network make_resnet(const network_config& config) {
    if (config.stage_channels.empty() || config.stage_channels.size() != config.stage_blocks.size())
        throw std::logic_error("make_resnet: one number of blocks for each stage is needed");
    network net{config, {}};
    convolution_unit stem{.convolution = "conv1",
                          .batch_norm = "bn1",
                          .in_channels = 3,
                          .out_channels = config.stem_channels,
                          .kernel = 7,
                          .stride = 2,
                          .padding = 3};
    stem.relu = stem.max_pool = true;
    net.units.push_back(stem);

    std::int64_t channels = config.stem_channels;
    for (std::size_t stage = 0; stage < config.stage_channels.size(); ++stage) {
        const std::size_t group = stage < (config.stage_channels.size() + 1) / 2 ? 0 : 1;
        const std::int64_t width = config.stage_channels[stage];
        for (std::int64_t block = 0; block < config.stage_blocks[stage]; ++block) {
            const std::string name = "layer" + std::to_string(stage + 1) + "." + std::to_string(block) + ".";
            const std::int64_t stride = stage > 0 && block == 0 ? 2 : 1;
            const std::size_t input = net.units.size(); // the output of the unit before
            std::size_t identity = input;

            convolution_unit first{.convolution = name + "conv1",
                                   .batch_norm = name + "bn1",
                                   .in_channels = channels,
                                   .out_channels = width,
                                   .kernel = 3,
                                   .stride = stride,
                                   .padding = 1,
                                   .group = group,
                                   .input = input};
            first.relu = true;
            if (stride != 1 || channels != width) {
                net.units.push_back({.convolution = name + "downsample.0",
                                     .batch_norm = name + "downsample.1",
                                     .in_channels = channels,
                                     .out_channels = width,
                                     .kernel = 1,
                                     .stride = stride,
                                     .padding = 0,
                                     .group = group,
                                     .input = input});
                identity = net.units.size();
            }
            net.units.push_back(first);
            convolution_unit second{.convolution = name + "conv2",
                                    .batch_norm = name + "bn2",
                                    .in_channels = width,
                                    .out_channels = width,
                                    .kernel = 3,
                                    .stride = 1,
                                    .padding = 1,
                                    .group = group,
                                    .input = net.units.size(),
                                    .residual = identity};
            second.relu = true;
            net.units.push_back(second);
            channels = width;
        }
    }
    return net;
}

} // namespace petnet::model
