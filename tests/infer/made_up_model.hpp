// SPDX-License-Identifier: Apache-2.0
// A whole model.safetensors whose weights mean nothing, made in less time than random normal ones.
#pragma once

#include "base/random.hpp"
#include "kernels/backend.hpp"
#include "model/model_description.hpp"
#include "model/model_file.hpp"

#include <cmath>
#include <filesystem>
#include <gtest/gtest.h>
#include <unistd.h>
#include <vector>

namespace petnet::testing {

inline model::model_description description_of_32(std::int64_t photo_size = 32) {
    return {.classes = {"beagle", "pug", "Siamese"},
            .size = 32,
            .photo_size = photo_size,
            .mean = {0.485F, 0.456F, 0.406F},
            .deviation = {0.229F, 0.224F, 0.225F},
            .recipe = photo_size == 32 ? "basic" : "augmented",
            .labels = "breed"};
}

inline void write_made_up_model(const std::filesystem::path& file, const model::model_description& d) {
    const auto device = kernels::make_backend("reference");
    const model::network network =
        model::make_resnet({.classes = static_cast<std::int64_t>(d.classes.size())});
    model::parameters parameters(*device, network, kernels::dtype::f32, model::optimizer_state::absent);
    std::vector<float> values;
    const auto fill = [&](const kernels::tensor_view& view, const std::string& name, float mean,
                          double spread) {
        const random_key key = random_key(1).child(name);
        values.resize(static_cast<std::size_t>(view.desc.dims.elements()));
        for (std::size_t i = 0; i < values.size(); ++i)
            values[i] = mean + static_cast<float>(spread * (key.uniform(i) - 0.5));
        device->write(view, std::span<const float>(values));
    };
    for (const model::parameter& p : parameters.trained())
        if (p.decays())
            fill(p.value, p.name, 0,
                 std::sqrt(24.0 / static_cast<double>(p.fan_in)) *
                     (p.name == "head.fc2.weight" ? 0.03 : 1)); // for logits of about 1
        else
            fill(p.value, p.name, p.kind == model::parameter_kind::batch_norm_weight ? 1.0F : 0.0F, 0.5);
    for (const model::running_statistic& s : parameters.statistics())
        fill(s.value, s.name, s.variance ? 1.0F : 0.0F, 0.5);
    model::write_safetensors(file, model::collect_state(parameters, false), model::metadata_of(d));
}

// A folder that goes with the test.
class model_folder : public ::testing::Test {
  protected:
    model_folder()
        : folder_(std::filesystem::temp_directory_path() / ("petnet_infer_" + std::to_string(::getpid()))) {
        std::filesystem::create_directories(folder_);
    }
    ~model_folder() override {
        std::error_code ignored;
        std::filesystem::remove_all(folder_, ignored);
    }
    [[nodiscard]] std::filesystem::path at(const char* name) const { return folder_ / name; }

  private:
    std::filesystem::path folder_;
};

} // namespace petnet::testing
