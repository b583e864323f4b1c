// SPDX-License-Identifier: Apache-2.0
#include "model/weights/recognised_network.hpp"

#include <gmock/gmock.h>
#include <string>
#include <vector>

using namespace petnet::model;

namespace {

struct resnet {
    bool bottleneck;
    std::vector<int> blocks;
    std::int64_t stem_channels = 64, stem = 7, width = 64, groups = 1;
};

// The convolutions by torchvision's names, without values; one batch norm among them.
std::vector<weight_tensor> tensors_of(const resnet& of, const std::string& prefix = "") {
    std::vector<weight_tensor> tensors;
    const auto add = [&](const std::string& name, std::vector<std::int64_t> shape) {
        tensors.push_back({.name = prefix + name, .shape = std::move(shape)});
    };
    add("conv1.weight", {of.stem_channels, 3, of.stem, of.stem});
    add("bn1.weight", {of.stem_channels});
    std::int64_t in = of.stem_channels, width = of.width;
    for (std::size_t stage = 0; stage < of.blocks.size(); ++stage, width *= 2)
        for (int block = 0; block < of.blocks[stage]; ++block) {
            const std::string at = "layer" + std::to_string(stage + 1) + "." + std::to_string(block) + ".";
            const std::int64_t kernel = of.bottleneck ? 1 : 3, out = of.bottleneck ? 4 * width : width;
            add(at + "conv1.weight", {width, in, kernel, kernel});
            add(at + "conv2.weight", {width, width / of.groups, 3, 3});
            if (of.bottleneck) add(at + "conv3.weight", {out, width, 1, 1});
            in = out;
        }
    add("fc.weight", {1000, in});
    return tensors;
}

TEST(recognised_network, by_blocks_and_shapes) {
    const std::pair<resnet, const char*> table[] = {
        {{false, {2, 2, 2, 2}}, "ResNet-18"},
        {{false, {3, 4, 6, 3}}, "ResNet-34"},
        {{true, {3, 4, 6, 3}}, "ResNet-50"},
        {{true, {3, 4, 23, 3}}, "ResNet-101"},
        {{true, {3, 8, 36, 3}}, "ResNet-152"},
        {{false, {2, 2, 2, 2}, 64, 3}, "ResNet-18 with a 3x3 stem, as for CIFAR"},
        {{true, {3, 4, 6, 3}, 64, 3}, "ResNet-50 with a 3x3 stem, as for CIFAR"},
        {{false, {3, 4, 6, 3}, 64, 5}, "ResNet-34 with a 5x5 stem"},
        {{false, {3, 3, 3}, 16, 3, 16},
         "a ResNet of basic blocks 3, 3, 3, of other widths with a 3x3 stem, as for CIFAR"},
        {{false, {1, 1, 1, 1}}, "a ResNet of basic blocks 1, 1, 1, 1"},
        {{true, {3, 4, 6, 3}, 64, 7, 128}, "a ResNet of bottleneck blocks 3, 4, 6, 3, of other widths"},
        {{true, {3, 4, 6, 3}, 64, 7, 64, 32}, "a ResNet of bottleneck blocks 3, 4, 6, 3, of other widths"},
        {{true, {2, 2, 2, 2}}, "a ResNet of bottleneck blocks 2, 2, 2, 2"},
    };
    for (const auto& [network, name] : table)
        for (const char* prefix : {"", "module.", "model.encoder."})
            EXPECT_EQ(recognise_network(tensors_of(network, prefix)), name) << prefix;
}

TEST(recognised_network, in_fastai_s_names) {
    std::vector<weight_tensor> tensors = tensors_of({true, {3, 4, 6, 3}});
    for (weight_tensor& tensor : tensors) {
        std::string& name = tensor.name;
        if (name.starts_with("layer"))
            name.replace(0, 6, "0." + std::to_string(name[5] - '0' + 3));
        else if (name == "conv1.weight")
            name = "0.0.weight";
        else if (name == "bn1.weight")
            name = "0.1.weight";
    }
    EXPECT_EQ(recognise_network(tensors), "ResNet-50");
}

TEST(recognised_network, what_is_no_resnet) {
    EXPECT_EQ(recognise_network({}), "");
    for (const char* name : {"features.0.weight", "conv1.weight", "layer1.0.conv1.weight", "a"})
        EXPECT_EQ(recognise_network(std::vector<weight_tensor>{{.name = name, .shape = {64, 3, 3, 3}}}), "")
            << name;
    std::vector<weight_tensor> flat = tensors_of({false, {2, 2, 2, 2}});
    flat[0].shape = {};
    EXPECT_EQ(recognise_network(flat), "");
}

} // namespace
