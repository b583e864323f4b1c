// SPDX-License-Identifier: Apache-2.0
// The training loop against a plain one, written here from semantics.md and the contracts alone: the same
// losses at every step, the same learning rates, the same parameters at the end, bit for bit. Wrong rows,
// wrong labels, moments that outlive a phase, keys of dropout or cuts of another epoch: each changes them.
#include "train/fine_tuner.hpp"

#include "base/random.hpp"
#include "data/augment.hpp"
#include "data/labels.hpp"
#include "tests/data/test_folder.hpp"
#include "tests/support/golden.hpp"

#include <fstream>
#include <nlohmann/json.hpp>
#include <numeric>

using namespace petnet;
using namespace petnet::train;

namespace {

constexpr std::int64_t batch = 3, size = 32, steps = 3;
constexpr std::size_t photographs = 13;
constexpr std::uint64_t seed = 5;

// A bitmap of `width` x 32 pixels, whose content is `what`'s alone.
std::string bitmap(std::uint64_t what, int width) {
    std::string bytes(54 + static_cast<std::size_t>(3 * width * 32), '\0');
    bytes.replace(0, 2, "BM");
    bytes[10] = 54;
    bytes[14] = 40;
    bytes[18] = static_cast<char>(width);
    bytes[22] = 32;
    bytes[26] = 1;
    bytes[28] = 24;
    const random_key key = random_key(what).child("pixels");
    for (std::size_t i = 54; i < bytes.size(); ++i)
        bytes[i] = static_cast<char>(static_cast<unsigned char>(255 * key.uniform(i)));
    return bytes;
}

struct step_record {
    hyperparameters hyper;
    float loss = 0;
    std::int64_t epoch = 0;
};

class step_log final : public observer {
  public:
    void on_step_begin() override { ++begun; }
    void on_step(const step_report& step) override {
        EXPECT_EQ(step.step, static_cast<std::int64_t>(all.size()));
        EXPECT_EQ(step.steps_in_epoch, steps);
        all.push_back({step.hyper, static_cast<float>(step.loss), step.epoch});
    }
    void on_epoch(const epoch_report& epoch) override { epochs.push_back(epoch); }
    std::vector<step_record> all;
    std::vector<epoch_report> epochs;
    std::size_t begun = 0;
};

class fine_tuning : public ::testing::Test {
  protected:
    fine_tuning() : network_(model::make_resnet({.classes = 2})) {
        for (std::size_t i = 0; i < photographs; ++i) {
            const int width = i % 2 == 0 ? 48 : 40; // free axis: cuts are drawn; 4 divides it, as a row must
            folder_.write(std::string(i % 3 == 0 ? "C" : "d") + std::to_string(i) + ".bmp", bitmap(i, width));
        }
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

    // The loop of semantics.md.
    std::vector<step_record> plain_training(const trained& run, const std::vector<training_phase>& phases) {
        std::vector<step_record> log;
        kernels::backend& device = *run.device;
        std::int64_t run_epoch = 0;
        for (const training_phase& phase : phases) {
            model::plan plan(*run.parameters, network_,
                             {.kind = phase.kind,
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
            for (std::int64_t i = 0; i < phase.epochs * steps; ++i) {
                const std::int64_t epoch = run_epoch + i / steps;
                const auto order = data::epoch_order(split_.train, seed, static_cast<std::uint64_t>(epoch));
                feed(device, plan, epoch,
                     std::span(order).subspan(static_cast<std::size_t>(i % steps * batch), batch));
                const hyperparameters hyper = phase.at(i, phase.epochs * steps);
                const auto settings = adam_settings(hyper, i + 1);
                device.write(plan.settings(), std::span<const double>(settings));
                plan.execute();
                float loss = 0;
                device.read(plan.loss(), std::span(&loss, 1));
                log.push_back({hyper, loss, epoch});
            }
            run_epoch += phase.epochs;
        }
        return log;
    }

    void feed(kernels::backend& device, const model::plan& plan, std::int64_t epoch,
              std::span<const std::size_t> order) {
        const std::size_t square = 3 * side() * side();
        std::vector<std::uint8_t> pixels(square * batch);
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

    // Both loops; what the one of the library logged.
    step_log compare(const std::vector<training_phase>& phases) {
        const trained actual = begin(), expected = begin();
        step_log log;
        fine_tuner tuner({.parameters = *actual.parameters,
                          .network = network_,
                          .photos = *photos_,
                          .labels = labels_,
                          .split = split_,
                          .phases = phases,
                          .batch_size = batch,
                          .image_size = size,
                          .augment = augments(),
                          .seed = seed,
                          .loader_threads = 2},
                         log);
        training_position position;
        EXPECT_TRUE(tuner.run(position, {[] { return false; }, [](const auto&, bool) {}}));
        const std::vector<step_record> plain = plain_training(expected, phases);
        EXPECT_EQ(log.begun, plain.size());
        EXPECT_EQ(log.all.size(), plain.size());
        for (std::size_t i = 0; i < std::min(log.all.size(), plain.size()); ++i) {
            EXPECT_EQ(log.all[i].loss, plain[i].loss) << "step " << i;
            EXPECT_EQ(log.all[i].hyper.lr, plain[i].hyper.lr) << "step " << i;
            EXPECT_EQ(log.all[i].hyper.mom, plain[i].hyper.mom) << "step " << i;
            EXPECT_EQ(log.all[i].epoch, plain[i].epoch) << "step " << i;
        }
        expect_same(actual, expected);
        return log;
    }

    test::temporary_folder folder_;
    model::network network_;
    std::unique_ptr<data::photo_store> photos_;
    std::vector<std::int32_t> labels_;
    data::photo_split split_;
};

TEST_F(fine_tuning, golden_rates_at_every_step_and_the_plain_loop_s_bits) {
    const step_log log = compare(fine_tune_phases(1, 2e-3, 1));
    const auto runs = nlohmann::json::parse(std::ifstream(petnet::testing::golden_dir() / "schedules.json"));
    const auto run = std::find_if(runs.begin(), runs.end(), [](const auto& each) {
        return each.at("batches_per_epoch") == steps && each.at("args") == nlohmann::json{{"epochs", 1}};
    });
    if (run == runs.end()) GTEST_SKIP() << "no golden fine_tune(1) of 3 batches an epoch";
    const auto& rows = run->at("lr_mom_per_step");
    ASSERT_EQ(rows.size(), log.all.size());
    for (std::size_t i = 0; i < rows.size(); ++i) {
        for (std::size_t g = 0; g < model::parameter_groups; ++g) {
            const double lr = rows[i].at(0).at(g);
            EXPECT_NEAR(log.all[i].hyper.lr[g], lr, 1e-6 * lr) << "step " << i << " group " << g;
        }
        EXPECT_NEAR(log.all[i].hyper.mom, rows[i].at(1).get<double>(), 1e-6) << "step " << i;
    }
}

TEST_F(fine_tuning, augmented_photographs) {
    cut_to(static_cast<std::size_t>(data::presized(size)));
    const step_log log = compare(fine_tune_phases(1, 2e-3, 1));
    EXPECT_EQ(log.epochs.at(0).validation.images, 2);
}

TEST_F(fine_tuning, several_epochs_in_a_phase) {
    const step_log log = compare(fine_tune_phases(2, 1e-2, 2));
    ASSERT_EQ(log.epochs.size(), 4U);
    for (std::size_t i = 0; i < log.epochs.size(); ++i) {
        EXPECT_EQ(log.epochs[i].epoch, static_cast<std::int64_t>(i));
        EXPECT_EQ(log.epochs[i].phase, i < 2 ? model::phase::frozen : model::phase::unfrozen);
        EXPECT_EQ(log.epochs[i].validation.images, 2);
    }
}

} // namespace
