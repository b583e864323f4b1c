// SPDX-License-Identifier: Apache-2.0
// Writing what torch.load(weights_only=True) reads: the zip format of PyTorch 1.6 and later.
#pragma once

#include "model/weights/weight_file.hpp"

#include <filesystem>
#include <span>

namespace petnet::model {

// Writes a state dict: an OrderedDict of the tensors (float32, float16, int64), in their order. The file
// replaces an old one whole. std::invalid_argument where a name is repeated or no UTF-8, a dtype is another
// one, or the file would reach 4 GB; environment_error where writing fails.
void write_torch_file(const std::filesystem::path& path, std::span<const weight_tensor> tensors);

} // namespace petnet::model
