// SPDX-License-Identifier: Apache-2.0
// A few photographs, and a plain training loop over them, written from semantics.md and the contracts alone:
// what the library's loops are to repeat bit for bit.
#pragma once

#include "base/random.hpp"
#include "data/augment.hpp"
#include "data/labels.hpp"
#include "tests/data/test_folder.hpp"
#include "train/schedule.hpp"
#include "train/training_setup.hpp"

#include <algorithm>
#include <array>
#include <cstdint>
#include <functional>
#include <gtest/gtest.h>
#include <iterator>
#include <memory>
#include <span>
#include <string>
#include <utility>
#include <vector>

namespace petnet::testing {

struct step_record {
    train::hyperparameters hyper;
    float loss = 0;
    std::int64_t epoch = 0;
};

class plain_training : public ::testing::Test {
  protected:
    static constexpr std::int64_t batch = 3, size = 32, steps = 3; // steps: of an epoch
    static constexpr std::size_t photographs = 13;
    static constexpr std::uint64_t seed = 5;

    // ResNet-34, or a network of the same kinds of layers, trained in a fraction of the time: for what does
    // not depend on the layers.
    static model::network resnet34() { return model::make_resnet({.classes = 2}); }
    static model::network small() {
        return model::make_resnet({.classes = 2,
                                   .stem_channels = 64,
                                   .stage_channels = {64, 128},
                                   .stage_blocks = {1, 2},
                                   .head_width = 32});
    }

    explicit plain_training(model::network network = resnet34()) : network_(std::move(network)) {
        constexpr std::array<std::pair<std::size_t, std::size_t>, 2> sides{
            {{48, 32}, {40, 32}}}; // cuts are drawn
        test::write_cats_and_dogs(folder_, photographs, sides);
        cut_to(size);
        labels_ = data::label_photos(photos_->folder(), data::label_rule::parse("cat-dog")).of_photo;
        split_ = data::random_split(photographs, 0.2, seed); // 2 validate, 11 train in 3 batches
    }

    void cut_to(std::size_t side) {
        photos_ = std::make_unique<data::photo_store>(data::open_image_folder(folder_.path()),
                                                      data::store_options{.image_size = side});
    }
    [[nodiscard]] std::size_t side() const { return photos_->options().image_size; }
    [[nodiscard]] bool augments() const { return side() != size; }

    struct trained {
        std::unique_ptr<kernels::backend> device = kernels::make_backend("cpu", {.threads = 1});
        std::unique_ptr<model::parameters> parameters;
    };
    trained begin() const {
        trained made;
        made.parameters = std::make_unique<model::parameters>(*made.device, network_, kernels::dtype::f32);
        model::initialise(*made.parameters, seed);
        return made;
    }

    // `rows`: of a batch, or a rank's part of it.
    [[nodiscard]] train::training_setup setup_of(const trained& run, std::int64_t rows = batch,
                                                 ranks::communicator& group = ranks::alone()) const {
        return {.parameters = *run.parameters,
                .network = network_,
                .photos = *photos_,
                .labels = labels_,
                .split = split_,
                .batch_size = rows,
                .image_size = size,
                .augment = augments(),
                .seed = seed,
                .loader_threads = 2,
                .group = group};
    }

    // The loop of semantics.md: `count` steps of a phase, from the beginning of an epoch, each with the
    // values that `at` gives for it (from 0).
    std::vector<step_record> plain_phase(const trained& run, model::phase kind, std::int64_t first_epoch,
                                         std::int64_t count,
                                         const std::function<train::hyperparameters(std::int64_t)>& at) {
        std::vector<step_record> log;
        kernels::backend& device = *run.device;
        model::plan plan(*run.parameters, network_,
                         {.kind = kind,
                          .batch = batch,
                          .height = size,
                          .width = size,
                          .photo_size = augments() ? static_cast<std::int64_t>(side()) : 0});
        const kernels::device_memory memory = device.allocate(plan.memory_bytes());
        plan.bind(memory.get());
        for (const model::parameter& p : run.parameters->trained()) {
            const std::vector<float> zeros(static_cast<std::size_t>(p.value.desc.dims.elements()));
            device.write(p.m, std::span(zeros));
            device.write(p.v, std::span(zeros));
        }
        for (std::int64_t i = 0; i < count; ++i) {
            const std::int64_t epoch = first_epoch + i / steps;
            const auto order = data::epoch_order(split_.train, seed, static_cast<std::uint64_t>(epoch));
            feed(device, plan, epoch,
                 std::span(order).subspan(static_cast<std::size_t>(i % steps * batch), batch));
            const train::hyperparameters hyper = at(i);
            const auto settings = train::adam_settings(hyper, i + 1);
            device.write(plan.settings(), std::span<const double>(settings));
            plan.execute();
            float loss = 0;
            device.read(plan.loss(), std::span(&loss, 1));
            log.push_back({hyper, loss, epoch});
        }
        return log;
    }

    void expect_same(const trained& actual, const trained& expected) const {
        const auto same = [&](const std::string& name, const kernels::tensor_view& a,
                              const kernels::tensor_view& b) {
            std::vector<float> values(static_cast<std::size_t>(a.desc.dims.elements())), others = values;
            actual.device->read(a, std::span(values));
            expected.device->read(b, std::span(others));
            EXPECT_TRUE(values == others) << name;
        };
        for (const model::parameter& p : actual.parameters->trained())
            same(p.name, p.value, expected.parameters->find(p.name).value);
        for (const model::running_statistic& s : actual.parameters->statistics())
            same(s.name, s.value, expected.parameters->statistic(s.name));
    }

    // What a plan needs of a batch of these photographs; of any number.
    void feed(kernels::backend& device, const model::plan& plan, std::int64_t epoch,
              std::span<const std::size_t> order) {
        const std::size_t square = 3 * side() * side();
        std::vector<std::uint8_t> pixels(square * order.size());
        std::vector<double> transforms;
        std::vector<std::int32_t> target;
        std::vector<std::uint64_t> keys;
        const auto by_epoch = static_cast<std::uint64_t>(epoch);
        for (std::size_t row = 0; row < order.size(); ++row) {
            const std::string& name = photos_->folder().photos[order[row]].name;
            data::cut_square(*photos_->photo(order[row]),
                             random_key(seed).child("crop").child(by_epoch).child(name).uniform(0),
                             std::span(pixels).subspan(row * square, square));
            target.push_back(name.starts_with("C") ? 0 : 1);
            keys.push_back(random_key(seed).child("dropout").child(by_epoch).child(name).value());
            std::ranges::copy(data::transform_of(data::draw_augmentation(seed, by_epoch, name)),
                              std::back_inserter(transforms));
        }
        if (augments()) device.write(plan.transforms(), std::span<const double>(transforms));
        device.write_bytes(plan.pixels(), std::as_bytes(std::span(pixels)));
        device.write_bytes(plan.target(), std::as_bytes(std::span(target)));
        device.write_bytes(plan.row_keys(), std::as_bytes(std::span(keys)));
    }

    test::temporary_folder folder_;
    model::network network_;
    std::unique_ptr<data::photo_store> photos_;
    std::vector<std::int32_t> labels_;
    data::photo_split split_;
};

} // namespace petnet::testing
