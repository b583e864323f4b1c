// SPDX-License-Identifier: Apache-2.0
#include "model/weights/recognised_network.hpp"

#include "model/weights/weight_names.hpp"

#include <algorithm>
#include <array>
#include <map>
#include <string_view>
#include <vector>

namespace petnet::model {
namespace {

using extents_by_name = std::map<std::string, std::vector<std::int64_t>>;

// How many blocks there are in each stage: "layer2.3.conv1.weight" is of the fourth one of the second stage.
std::vector<int> blocks_of(const extents_by_name& shapes) {
    constexpr int most_stages = 8, most_blocks = 1000;
    std::vector<int> blocks;
    for (int stage = 1; stage <= most_stages; ++stage) {
        int count = 0;
        while (count < most_blocks && shapes.contains("layer" + std::to_string(stage) + "." +
                                                      std::to_string(count) + ".conv1.weight"))
            ++count;
        if (count == 0) break;
        blocks.push_back(count);
    }
    return blocks;
}

std::string list_of(const std::vector<int>& numbers) {
    std::string text;
    for (const int number : numbers) text += (text.empty() ? "" : ", ") + std::to_string(number);
    return text;
}

struct known_network {
    const char* name;
    bool bottleneck;
    std::array<int, 4> blocks;
};
constexpr std::array known_networks = {
    known_network{"ResNet-18", false, {2, 2, 2, 2}},  known_network{"ResNet-34", false, {3, 4, 6, 3}},
    known_network{"ResNet-50", true, {3, 4, 6, 3}},   known_network{"ResNet-101", true, {3, 4, 23, 3}},
    known_network{"ResNet-152", true, {3, 8, 36, 3}},
};

} // namespace

std::string recognise_network(std::span<const weight_tensor> tensors) {
    std::vector<std::string> names;
    for (const weight_tensor& tensor : tensors) names.push_back(tensor.name);
    const std::vector<std::string> plain = torchvision_names(names);
    extents_by_name shapes;
    for (std::size_t i = 0; i < plain.size(); ++i)
        if (!plain[i].empty()) shapes.emplace(plain[i], tensors[i].shape);
    const auto extent = [&](const std::string& name, std::size_t axis) -> std::int64_t {
        const auto found = shapes.find(name);
        return found == shapes.end() || axis >= found->second.size() ? 0 : found->second[axis];
    };

    const std::vector<int> blocks = blocks_of(shapes);
    if (blocks.empty() || extent("conv1.weight", 3) == 0) return {};
    const bool bottleneck = shapes.contains("layer1.0.conv3.weight");
    const auto known = std::ranges::find_if(known_networks, [&](const known_network& each) {
        return each.bottleneck == bottleneck && std::ranges::equal(each.blocks, blocks);
    });
    // Wide and grouped networks have the same names.
    bool usual_widths = extent("conv1.weight", 0) == 64;
    for (std::size_t stage = 0; stage < blocks.size(); ++stage) {
        const std::string convolution = "layer" + std::to_string(stage + 1) + ".0.conv2.weight";
        for (const std::size_t axis : {0U, 1U})
            usual_widths = usual_widths && extent(convolution, axis) == std::int64_t{64} << stage;
    }
    std::string text = known != known_networks.end() && usual_widths
                           ? known->name
                           : std::string("a ResNet of ") + (bottleneck ? "bottleneck" : "basic") +
                                 " blocks " + list_of(blocks) + (usual_widths ? "" : ", of other widths");
    const std::int64_t stem = extent("conv1.weight", 3);
    if (stem != 7)
        text += " with a " + std::to_string(stem) + "x" + std::to_string(stem) + " stem" +
                (stem == 3 ? ", as for CIFAR" : "");
    return text;
}

} // namespace petnet::model
