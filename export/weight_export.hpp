// SPDX-License-Identifier: Apache-2.0
// The weights alone, for other programs to load.
#pragma once

#include "export/exported_model.hpp"

#include <cstdint>
#include <filesystem>

namespace petnet::exporting {

enum class weight_naming : std::uint8_t {
    torchvision, // the body as torchvision.models.resnet34, the head as head.bn1, head.fc1, head.bn2,
                 // head.fc2
    fastai,      // as vision_learner(dls, resnet34)'s model: 0.0.weight, ..., 1.8.weight
};

// A state dict for torch.load(weights_only=True), with the batch-norm layers' num_batches_tracked (0), so
// that a strict load_state_dict finds all that it asks for.
void write_torch(const exported_model& model, weight_naming naming, const std::filesystem::path& file);

// The model's own file, metadata included, in float32 or float16 (rounded to nearest).
void write_safetensors(const exported_model& model, bool half, const std::filesystem::path& file);

} // namespace petnet::exporting
