// SPDX-License-Identifier: Apache-2.0
// From the names other programs give ResNet-34's tensors to petnet's: torchvision's for the body
// (`conv1.weight`, `layer2.0.downsample.1.bias`), `head.bn1`, `head.fc1`, `head.bn2`, `head.fc2` for fastai's
// head.
#pragma once

#include <cstddef>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace petnet::model {

// petnet's names, in the order of the forward pass.
[[nodiscard]] const std::vector<std::string>& body_weight_names();
[[nodiscard]] const std::vector<std::string>& head_weight_names();

struct weight_name_mapping {
    struct used_name {
        std::size_t source; // index into the names that were mapped
        std::string name;   // petnet's
        friend bool operator==(const used_name&, const used_name&) = default;
    };
    std::vector<used_name> used; // in the order of the names that were mapped
    // Known and of no use here: the ImageNet classifier, num_batches_tracked, and what belongs to another of
    // `prefixes`.
    std::vector<std::string> left_out;
    std::vector<std::string> unknown; // part of no ResNet-34
    // What stands before the names and a dot ("model.backbone", or empty), without `module` and `_orig_mod`:
    // first that of the names that are used, then others behind which there is a whole body too.
    std::vector<std::string> prefixes;
};

// Understands torchvision's and timm's names, fastai's (`0.4.0.conv1.weight`, `1.2.weight`; with a body of
// torchvision or of timm, with or without dropout layers in the head), those of a bare fastai body
// (`4.0.conv1.weight`), petnet's own, and any of them behind any prefix: the one with which most names are
// ResNet-34's. The head may stand at the prefix or above it (`model.backbone.conv1.weight`,
// `model.head.fc1.weight`). `module.` and `_orig_mod.`, the wrappers of DataParallel and torch.compile, do
// not count anywhere in a name. Throws input_error("FILE: ...") where two names mean the same tensor.
[[nodiscard]] weight_name_mapping map_weight_names(std::span<const std::string> names, std::string_view file);

// The names without the prefix behind which most are ResNet-34's, as torchvision has them, in their order;
// empty for those that stand elsewhere. They may be of another ResNet.
[[nodiscard]] std::vector<std::string> torchvision_names(std::span<const std::string> names);

// How many of ResNet-34's tensors have one of these names, behind the prefix that suits best.
[[nodiscard]] std::size_t count_known_names(std::span<const std::string> names);

} // namespace petnet::model
