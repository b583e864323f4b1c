// SPDX-License-Identifier: Apache-2.0
// check:reference,cuda over whole steps of ResNet-34 on the sample, with its pretrained body: every operation
// of `cuda`, on what the network gives it, against `reference`. On the host's emulation of CUDA.
#include "data/labels.hpp"
#include "data/photo_store.hpp"
#include "model/model_file.hpp"
#include "model/plan.hpp"
#include "train/schedule.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <array>
#include <cstdint>
#include <filesystem>
#include <span>
#include <string>
#include <vector>

namespace petnet::train {
namespace {

class cuda_checked_steps : public ::testing::TestWithParam<kernels::dtype> {
  protected:
    static constexpr std::int64_t batch = 4, size = 32; // fewer, and normalising magnifies rounding

    // Photographs of both classes, as validation cuts them.
    void read_sample() {
        const auto side = static_cast<std::size_t>(size);
        data::photo_store photos(data::open_image_folder(sample_ / "images"), {.image_size = side});
        const auto labels = data::label_photos(photos.folder(), data::label_rule::parse("cat-dog")).of_photo;
        pixels_.resize(static_cast<std::size_t>(batch) * side * side * 3);
        for (std::size_t n = 0; n < static_cast<std::size_t>(batch); ++n) {
            const std::size_t index = n * labels.size() / static_cast<std::size_t>(batch);
            data::cut_square(*photos.photo(index), 0.5,
                             std::span(pixels_).subspan(n * side * side * 3, side * side * 3));
            target_.push_back(labels[index]);
        }
    }

    void step(model::phase kind) {
        model::plan plan(
            parameters_, network_,
            {.kind = kind, .batch = batch, .height = size, .width = size, .activations = GetParam()});
        const kernels::device_memory memory = device_->allocate(plan.memory_bytes());
        plan.bind(memory.get());
        device_->write_bytes(plan.pixels(), std::as_bytes(std::span(pixels_)));
        device_->write_bytes(plan.target(), std::as_bytes(std::span(target_)));
        if (kind != model::phase::evaluation) {
            const std::vector<std::uint64_t> keys{1, 2, 3, 4};
            device_->write_bytes(plan.row_keys(), std::as_bytes(std::span(keys)));
            const std::vector<double> settings = adam_settings({{1e-5, 1e-5, 1e-4}, 0.9}, 1);
            device_->write(plan.settings(), std::span<const double>(settings));
        }
        plan.execute();
    }

    const std::filesystem::path sample_ = PETNET_SAMPLE_DIR;
    std::vector<std::uint8_t> pixels_;
    std::vector<std::int32_t> target_;
    std::vector<std::string> departures_;
    std::unique_ptr<kernels::backend> device_ = kernels::make_backend(
        "check:reference,cuda",
        {.on_departure = [this](const std::string& line) { departures_.push_back(line); }});
    model::network network_ = model::make_resnet({});
    model::parameters parameters_{*device_, network_, GetParam()};
};

TEST_P(cuda_checked_steps, depart_nowhere) {
    read_sample();
    EXPECT_THAT(target_, ::testing::IsSupersetOf({0, 1}));
    model::initialise(parameters_, 1);
    const char* const body = "resnet34-animals.safetensors.zst";
    model::load_weights(parameters_, model::read_weight_file(sample_ / body), body);
    parameters_.clear_moments();
    // At the scale that training starts with, float16 gradients of this network overflow, and in what way is
    // not defined.
    if (parameters_.loss_scale().present())
        device_->write(parameters_.loss_scale(), std::span<const double>(std::array<double, 4>{16, 0, 0, 0}));
    for (const model::phase kind : {model::phase::unfrozen, model::phase::evaluation}) { // frozen is less
        step(kind);
        EXPECT_THAT(departures_, ::testing::IsEmpty()) << model::name_of(kind);
    }
}

INSTANTIATE_TEST_SUITE_P(dtypes, cuda_checked_steps,
                         ::testing::Values(kernels::dtype::f32, kernels::dtype::bf16, kernels::dtype::f16),
                         [](const auto& tested) { return std::string(kernels::name_of(tested.param)); });

} // namespace
} // namespace petnet::train
