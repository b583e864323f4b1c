// SPDX-License-Identifier: Apache-2.0
// Whole trainings of a small network on a few photographs, on the host's emulation of CUDA.
#pragma once

#include "cuda_host/control.hpp"
#include "data/augment.hpp"
#include "data/labels.hpp"
#include "model/model_file.hpp"
#include "tests/data/test_folder.hpp"
#include "train/fine_tuner.hpp"

#include <array>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <limits>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace petnet::testing {

class cuda_training : public ::testing::Test {
  protected:
    static constexpr std::int64_t batch = 3, size = 24, steps = 7; // steps: of an epoch
    static constexpr std::size_t photographs = 26;
    static constexpr std::uint64_t seed = 5;

    cuda_training() {
        // Lying and upright ones, with tables in common and their own; one of just the size, and a smaller
        // one.
        constexpr std::array<std::pair<std::size_t, std::size_t>, 6> sides{
            {{36, 28}, {28, 41}, {60, 28}, {24, 24}, {40, 53}, {16, 20}}};
        test::write_cats_and_dogs(folder_, photographs, sides);
        cut_to(static_cast<std::size_t>(size));
        labels_ = data::label_photos(photos_->folder(), data::label_rule::parse("cat-dog")).of_photo;
        split_ = data::random_split(photographs, 0.2, seed); // 5 validate: 3 and 2; 21 train
    }
    ~cuda_training() override { cuda_host::reset(); }

    void cut_to(std::size_t side) {
        photos_ = std::make_unique<data::photo_store>(data::open_image_folder(folder_.path()),
                                                      data::store_options{.image_size = side});
    }
    void augment() { cut_to(static_cast<std::size_t>(data::presized(size))); }

    struct device_run {
        std::unique_ptr<kernels::backend> device = kernels::make_backend("cuda");
        std::unique_ptr<model::parameters> parameters;
    };
    [[nodiscard]] device_run begin() const {
        device_run run;
        run.parameters = std::make_unique<model::parameters>(*run.device, network_, activations_);
        model::initialise(*run.parameters, seed);
        return run;
    }
    // `device_photo_bytes`: what photographs may take on the device.
    [[nodiscard]] train::training_setup setup_of(const device_run& run,
                                                 std::size_t device_photo_bytes) const {
        return {.parameters = *run.parameters,
                .network = network_,
                .photos = *photos_,
                .labels = labels_,
                .split = split_,
                .batch_size = batch,
                .image_size = size,
                .augment = photos_->options().image_size != static_cast<std::size_t>(size),
                .seed = seed,
                .activations = activations_,
                .loader_threads = 2,
                .device_photo_bytes = device_photo_bytes};
    }
    static constexpr std::size_t all = std::numeric_limits<std::size_t>::max();

    test::temporary_folder folder_;
    model::network network_ =
        model::make_resnet({.stem_channels = 8, .stage_channels = {8}, .stage_blocks = {1}, .head_width = 8});
    kernels::dtype activations_ = kernels::dtype::f16; // with a loss scale
    std::unique_ptr<data::photo_store> photos_;
    std::vector<std::int32_t> labels_;
    data::photo_split split_;
};

} // namespace petnet::testing
