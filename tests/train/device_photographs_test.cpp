// SPDX-License-Identifier: Apache-2.0
// Trainings with all photographs in the device's memory, with some, and with none: the same bits, and each
// photograph copied there once. On the host's emulation of CUDA.
#include "train/device_photographs.hpp"

#include "tests/train/cuda_training.hpp"

#include <algorithm>
#include <cstring>
#include <gmock/gmock.h>
#include <set>
#include <stdexcept>

namespace petnet::train {
namespace {

class cuda_device_photographs : public petnet::testing::cuda_training {
  protected:
    class step_log final : public observer {
      public:
        void on_step(const step_report& step) override { losses.push_back(step.loss); }
        void on_epoch(const epoch_report& epoch) override { epochs.push_back(epoch); }
        void on_warning(std::string_view line) override { warnings.emplace_back(line); }
        std::vector<double> losses;
        std::vector<epoch_report> epochs;
        std::vector<std::string> warnings;
    };
    struct result {
        std::vector<double> losses;
        std::vector<epoch_report> epochs;
        std::vector<std::string> warnings;
        std::vector<model::weight_tensor> state; // with Adam's moments
    };

    // To the end, or, where `stop_after` says so, on after so many steps from a checkpoint in a process of
    // its own.
    result train(std::size_t device_photo_bytes, std::size_t stop_after = all) {
        step_log log;
        training_position position;
        std::size_t asked = 0;
        device_run run = begin();
        before_training_();
        if (!fine_tuner(setup_of(run, device_photo_bytes), phases_, log)
                 .run(position, {[&] { return ++asked == stop_after; }, [](const auto&, auto) {}})) {
            const model::weight_file checkpoint{model::collect_state(*run.parameters, true), {}};
            run = begin();
            model::restore_state(*run.parameters, checkpoint, "the checkpoint");
            EXPECT_TRUE(fine_tuner(setup_of(run, device_photo_bytes), phases_, log)
                            .run(position, {[] { return false; }, [](const auto&, auto) {}}));
        }
        return {log.losses, log.epochs, log.warnings, model::collect_state(*run.parameters, true)};
    }

    static void expect_same(const result& actual, const result& expected) {
        EXPECT_EQ(actual.losses, expected.losses);
        ASSERT_EQ(actual.epochs.size(), expected.epochs.size());
        for (std::size_t i = 0; i < actual.epochs.size(); ++i) {
            EXPECT_EQ(actual.epochs[i].validation.loss, expected.epochs[i].validation.loss) << "epoch " << i;
            EXPECT_EQ(actual.epochs[i].validation.error_rate, expected.epochs[i].validation.error_rate);
            EXPECT_EQ(actual.epochs[i].validation.images, 5);
        }
        ASSERT_EQ(actual.state.size(), expected.state.size());
        for (std::size_t i = 0; i < actual.state.size(); ++i)
            EXPECT_TRUE(std::ranges::equal(actual.state[i].bytes, expected.state[i].bytes))
                << actual.state[i].name;
    }

    // Bytes of all photographs, each with the table of its cuts or without.
    [[nodiscard]] std::size_t bytes_of_all(bool with_tables) const {
        std::size_t bytes = 0;
        std::set<std::size_t> sides;
        for (std::size_t i = 0; i < photographs; ++i) {
            const auto photo = photos_->photo(i);
            const bool new_side = sides.insert(photo->side).second;
            bytes += with_tables && new_side ? device_photographs::bytes_of(*photo)
                                             : (photo->pixels.size() - data::resize_slack + 15) / 16 * 16;
        }
        return bytes;
    }
    [[nodiscard]] std::size_t least() const {
        return device_photographs::least_bytes(photos_->options().image_size, batch);
    }
    [[nodiscard]] std::vector<std::size_t> bytes_of_epochs(const result& of) const {
        std::vector<std::size_t> bytes;
        for (const epoch_report& epoch : of.epochs) bytes.push_back(epoch.pixel_bytes);
        return bytes;
    }

    std::function<void()> before_training_ = [] {};
    // Every photograph that trains is in every epoch.
    std::vector<training_phase> phases_ = fine_tune_phases(2, 2e-3, 2);
};

TEST_F(cuda_device_photographs, cross_the_bus_once_and_leave_the_bits_as_they_were) {
    const result without = train(0), with = train(all);
    expect_same(with, without);
    const std::size_t squares = photographs * 3 * size * size;
    EXPECT_EQ(bytes_of_epochs(without), std::vector<std::size_t>(4, squares));
    EXPECT_EQ(bytes_of_epochs(with), (std::vector<std::size_t>{bytes_of_all(true), 0, 0, 0}));
}

TEST_F(cuda_device_photographs, that_fit_in_part_leave_the_rest_to_the_host) {
    const std::size_t half = least() + bytes_of_all(true) / 2;
    const result without = train(0), with = train(half);
    expect_same(with, without);
    const std::vector<std::size_t> bytes = bytes_of_epochs(with);
    EXPECT_GT(bytes[1], 0U);
    EXPECT_LT(bytes[1], bytes_of_epochs(without)[1] * 2 / 3);
    EXPECT_EQ(bytes[2], bytes[1]);
    EXPECT_EQ(bytes[3], bytes[1]);
    EXPECT_EQ(bytes[1] % (3 * size * size), 0U);
}

TEST_F(cuda_device_photographs, of_which_none_fits_come_as_squares) {
    const result without = train(0), with = train(least() + 16);
    expect_same(with, without);
    EXPECT_EQ(bytes_of_epochs(with), bytes_of_epochs(without));
}

TEST_F(cuda_device_photographs, are_augmented_as_squares_of_the_host_are) {
    augment();
    const result without = train(0);
    expect_same(train(all), without);
    expect_same(train(least() + bytes_of_all(true) / 2), without);
}

TEST_F(cuda_device_photographs, come_again_after_a_resume_in_the_midst_of_an_epoch) {
    const result whole = train(all);
    for (const std::size_t step : {std::size_t{4}, std::size_t{3 * steps + 5}}) {
        const result resumed = train(all, step);
        EXPECT_EQ(resumed.losses, whole.losses);
        ASSERT_EQ(resumed.state.size(), whole.state.size());
        for (std::size_t i = 0; i < whole.state.size(); ++i)
            EXPECT_TRUE(std::ranges::equal(resumed.state[i].bytes, whole.state[i].bytes))
                << whole.state[i].name << " after " << step << " steps";
    }
}

TEST_F(cuda_device_photographs, leave_broken_ones_out_and_fill_their_places) {
    for (const std::size_t index : {split_.train[0], split_.train[9], split_.train[10], split_.valid[1]})
        folder_.write(photos_->folder().photos[index].name, test::one_pixel_bmp(0).substr(0, 20));
    const auto images = [](const result& of) { return of.epochs.at(3).validation.images; };
    const auto fresh = [&](std::size_t bytes) { // which are broken is found out anew
        photos_ = std::make_unique<data::photo_store>(
            data::open_image_folder(folder_.path()),
            data::store_options{.image_size = static_cast<std::size_t>(size), .max_broken = 0.5});
        return train(bytes);
    };
    const result without = fresh(0), with = fresh(all), half = fresh(least() + 20'000);
    EXPECT_EQ(images(without), 4);
    for (const result* other : {&with, &half}) {
        EXPECT_EQ(other->losses, without.losses);
        EXPECT_EQ(images(*other), images(without));
        EXPECT_EQ(other->epochs.at(3).validation.loss, without.epochs.at(3).validation.loss);
    }
}

TEST_F(cuda_device_photographs, take_no_memory_that_plans_need) {
    // What the plans of this network may take is little beside the gigabytes that are left to convolutions.
    const device_run run = begin();
    cuda_host::set_memory(cuda_host::in_use().device_bytes + (std::size_t{3} << 30));
    EXPECT_EQ(make_device_photographs(setup_of(run, all), phases_), nullptr);
    cuda_host::set_memory(std::size_t{4} << 30);
    const auto made = make_device_photographs(setup_of(run, all), phases_);
    ASSERT_NE(made, nullptr);
    const auto taken = static_cast<std::size_t>(made->store().desc.dims.elements());
    EXPECT_GE(taken, least() + bytes_of_all(true));
    EXPECT_LT(taken, 2 * (least() + bytes_of_all(true))) << "more than all photographs need";
    EXPECT_EQ(make_device_photographs(setup_of(run, least()), phases_), nullptr) << "room for none";
    EXPECT_EQ(make_device_photographs(setup_of(run, all), fine_tune_phases(1, 1e-3, 0)), nullptr)
        << "each comes once";
}

TEST_F(cuda_device_photographs, give_their_memory_back_where_the_plans_turn_out_to_need_it) {
    const result without = train(0);
    before_training_ = [] { cuda_host::fail_next("cudaMalloc", cudaErrorMemoryAllocation, 4); };
    const result with = train(all); // takes memory for the photographs, three uploads of them, and the plan
    expect_same(with, without);
    EXPECT_EQ(bytes_of_epochs(with), bytes_of_epochs(without));
    EXPECT_THAT(with.warnings, ::testing::IsEmpty());
}

TEST_F(cuda_device_photographs, are_none_where_memory_is_the_host_s) {
    for (const char* name : {"cpu", "reference"}) {
        const std::unique_ptr<kernels::backend> device = kernels::make_backend(name);
        EXPECT_EQ(device->free_memory(), 0U) << name;
    }
    EXPECT_GT(kernels::make_backend("cuda")->free_memory(), 0U);
}

} // namespace
} // namespace petnet::train
