// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "model/weights/weight_file.hpp"

#include <span>
#include <string>

namespace petnet::model {

// Of which network the weights are, by names (weight_names.hpp understands their prefix) and shapes:
// "ResNet-50", "ResNet-18 with a 3x3 stem, as for CIFAR", "a ResNet of basic blocks 3, 3, 3"; empty where
// they are no ResNet's.
[[nodiscard]] std::string recognise_network(std::span<const weight_tensor> tensors);

} // namespace petnet::model
