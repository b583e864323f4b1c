// SPDX-License-Identifier: Apache-2.0
// What model.safetensors says of itself beside its tensors: what it tells apart, and how photographs are made
// ready for it.
#pragma once

#include "model/weights/weight_file.hpp"

#include <array>
#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

namespace petnet::model {

struct model_description {
    std::vector<std::string> classes; // in the order of the logits
    std::int64_t size = 224;          // side of the square that the network sees, in pixels
    // Side of the square that photographs are cut to; larger than `size` where it is then sampled down
    // (plan_options::photo_size), as the recipe "augmented" does.
    std::int64_t photo_size = 224;
    std::array<float, 3> mean{}, deviation{}; // of the pixels' values in [0, 1], by channel
    std::string recipe;                       // "basic" or "augmented"
    bool turned_by_exif = false;              // photographs are turned as their EXIF orientation says
    std::string labels;                       // the rule by which names gave the classes (data/labels.hpp)
};

// As the metadata of a safetensors file; describe() reads it back, to the same floats.
[[nodiscard]] std::map<std::string, std::string> metadata_of(const model_description& description);

// input_error naming `file` and what is missing or makes no sense: there are classes, as many as the head has
// logits, sizes lie between 32 and 16384, deviations are above 0.
[[nodiscard]] model_description describe(const weight_file& model, std::string_view file);

} // namespace petnet::model
