// SPDX-License-Identifier: Apache-2.0
// Trainings by several ranks. Batch normalisation sees a rank's part of a batch, as under DDP, so that no
// single process with the whole batch learns the same. What they are compared with is one process that does
// by hand what the ranks should do together: the gradients of each part, each from networks of its own, their
// mean, one update. Its bits are theirs.
#include "model/gradient_buckets.hpp"
#include "model/model_file.hpp"
#include "tests/train/plain_training.hpp"
#include "tests/train/ranks/crew.hpp"
#include "train/fine_tuner.hpp"
#include "train/shared_start.hpp"

#include <cmath>
#include <limits>
#include <map>
#include <mutex>
#include <numeric>
#include <set>

using namespace petnet;
using namespace petnet::train;

namespace {

using model::gradient_bucket;
using model::gradient_buckets;
using model::ready_gradient;

TEST(gradient_buckets, close_where_they_are_large_enough_in_the_order_of_the_backward_pass) {
    const std::vector<ready_gradient> ready{{9, 10}, {2, 30}, {4, 5}, {4, 5}, {7, 200}, {1, 1}};
    const std::vector<gradient_bucket> buckets = gradient_buckets(ready, 40);
    ASSERT_EQ(buckets.size(), 3U);
    EXPECT_EQ(buckets[0].gradients, (std::vector<std::size_t>{5, 1, 2, 3})); // 41 bytes
    EXPECT_EQ(buckets[0].after_node, 4U);
    EXPECT_EQ(buckets[1].gradients, (std::vector<std::size_t>{4}));
    EXPECT_EQ(buckets[1].after_node, 7U);
    EXPECT_EQ(buckets[2].gradients, (std::vector<std::size_t>{0})); // what is left
    EXPECT_EQ(buckets[2].after_node, 9U);
    EXPECT_TRUE(gradient_buckets({}, 40).empty());
    EXPECT_EQ(gradient_buckets(ready, 0).size(), ready.size());
    EXPECT_EQ(gradient_buckets(ready, 1000).size(), 1U);
}

// Calls a function when a bucket begins, and one when all must be there.
class all_reduce_in_test final : public kernels::all_reduce {
  public:
    using bucket = std::vector<std::span<float>>;
    explicit all_reduce_in_test(kernels::backend& device) : device_(device) {}
    std::function<void(const bucket&)> on_begin = [](const bucket&) {};
    std::function<void(const std::vector<bucket>&)> on_finish;

    std::unique_ptr<kernels::operation> begin(std::vector<kernels::tensor_view> tensors) override {
        bucket values;
        for (const kernels::tensor_view& tensor : tensors) values.push_back(device_.host_values(tensor));
        buckets_.push_back(values);
        return make([this, values] { on_begin(values); });
    }
    std::unique_ptr<kernels::operation> finish() override {
        return make([this] { on_finish(buckets_); });
    }
    [[nodiscard]] std::vector<bucket>& buckets() { return buckets_; }

  private:
    static std::unique_ptr<kernels::operation> make(std::function<void()> run) {
        class call final : public kernels::operation {
          public:
            explicit call(std::function<void()> run) : run_(std::move(run)) {}
            void execute(std::byte*) override { run_(); }

          private:
            std::function<void()> run_;
        };
        return std::make_unique<call>(std::move(run));
    }
    kernels::backend& device_;
    std::vector<bucket> buckets_;
};

class shared_training : public petnet::testing::plain_training {
  protected:
    using plain_training::plain_training;
    static constexpr std::int64_t part = 2; // of a batch, for each rank

    [[nodiscard]] model::plan_options options(model::phase kind) const {
        return {.kind = kind, .batch = part, .height = size, .width = size};
    }

    // Quicker than drawing weights again.
    static trained copy_of(const trained& other, const model::network& net) {
        trained made;
        made.parameters = std::make_unique<model::parameters>(*made.device, net, kernels::dtype::f32);
        static_cast<void>(model::load_weights(
            *made.parameters, {model::collect_state(*other.parameters, false), {}}, "the copy"));
        return made;
    }

    class log_of_run final : public observer {
      public:
        void on_step(const step_report& step) override { losses.push_back(step.loss); }
        void on_epoch(const epoch_report& epoch) override { epochs.push_back(epoch); }
        std::vector<double> losses;
        std::vector<epoch_report> epochs;
    };

    // A rank of the emulation.
    struct replica {
        explicit replica(trained made) : run(std::move(made)), means(*run.device) {}
        trained run;
        all_reduce_in_test means;
        std::vector<std::vector<float>> statistics() {
            std::vector<std::vector<float>> all;
            for (const model::running_statistic& each : run.parameters->statistics())
                run.device->read(each.value, std::span<float>(all.emplace_back(
                                                 static_cast<std::size_t>(each.value.desc.dims.elements()))));
            return all;
        }
        void set_statistics(const std::vector<std::vector<float>>& all) {
            for (std::size_t i = 0; i < all.size(); ++i)
                run.device->write(run.parameters->statistics()[i].value, std::span<const float>(all[i]));
        }
    };
    struct no_update {};

    // The mean of what each replica's gradients are, in the order of ranks.
    static std::vector<float> mean_of(std::vector<std::vector<float>> all) {
        for (std::size_t r = 1; r < all.size(); ++r)
            for (std::size_t i = 0; i < all[0].size(); ++i) all[0][i] += all[r][i];
        for (float& value : all[0]) value *= 1.0F / static_cast<float>(all.size());
        return all[0];
    }

    // The steps of an epoch of a phase; the losses.
    std::vector<double> emulate(std::vector<std::unique_ptr<replica>>& replicas, model::phase kind,
                                std::int64_t epoch, const std::function<hyperparameters(std::int64_t)>& at) {
        const auto ranks = static_cast<std::int64_t>(replicas.size());
        std::vector<std::unique_ptr<model::plan>> plans;
        std::vector<kernels::device_memory> memories;
        for (auto& each : replicas) {
            model::plan_options how = options(kind);
            how.averages = &each->means;
            each->means.buckets().clear();
            plans.push_back(std::make_unique<model::plan>(*each->run.parameters, network_, how));
            memories.push_back(each->run.device->allocate(plans.back()->memory_bytes()));
            plans.back()->bind(memories.back().get());
            each->run.parameters->clear_moments();
        }
        const auto order = data::epoch_order(split_.train, seed, static_cast<std::uint64_t>(epoch));
        std::vector<double> losses;
        for (std::int64_t step = 0; (step + 1) * part * ranks <= std::ssize(order); ++step) {
            std::vector<std::vector<float>> gradients(replicas.size());
            for (std::size_t r = 0; r < replicas.size(); ++r) {
                replica& each = *replicas[r];
                feed(*each.run.device, *plans[r], epoch,
                     std::span(order).subspan(
                         static_cast<std::size_t>((step * ranks + std::int64_t(r)) * part), part));
                each.run.device->write(plans[r]->settings(),
                                       std::span<const double>(adam_settings(at(step), step + 1)));
                const auto before = each.statistics();
                each.means.on_finish = [&](const auto& buckets) {
                    for (const auto& bucket : buckets)
                        for (const std::span<float> tensor : bucket)
                            gradients[r].insert(gradients[r].end(), tensor.begin(), tensor.end());
                    throw no_update();
                };
                EXPECT_THROW(plans[r]->execute(), no_update);
                each.set_statistics(before); // the step is done once more
            }
            const std::vector<float> mean = mean_of(std::move(gradients));
            for (std::size_t r = 0; r < replicas.size(); ++r) {
                replicas[r]->means.on_finish = [&](const auto& buckets) {
                    auto from = mean.begin();
                    for (const auto& bucket : buckets)
                        for (const std::span<float> tensor : bucket)
                            for (float& value : tensor) value = *from++;
                };
                plans[r]->execute();
            }
            losses.push_back(static_cast<double>(mean.front())); // the first tensor of the first bucket
        }
        return losses;
    }

    // What averaging a step moves: the trained tensors and the loss, nothing else.
    [[nodiscard]] std::uint64_t bytes_of_step(const trained& run, model::phase kind) const {
        std::uint64_t values = 1;
        for (const model::parameter& each : run.parameters->trained())
            if (kind == model::phase::unfrozen || each.kind != model::parameter_kind::convolution)
                values += static_cast<std::uint64_t>(each.value.desc.dims.elements());
        return values * sizeof(float);
    }

    void compare(int ranks) {
        const std::vector<training_phase> phases = fine_tune_phases(1, 1e-2, 1);
        std::vector<std::unique_ptr<replica>> replicas;
        replicas.reserve(static_cast<std::size_t>(ranks));
        const trained start = begin();
        for (int rank = 0; rank < ranks; ++rank)
            replicas.push_back(std::make_unique<replica>(copy_of(start, network_)));
        std::vector<double> expected;
        std::int64_t run_epoch = 0;
        const std::int64_t steps_of_epoch = std::ssize(split_.train) / (part * ranks);
        for (const training_phase& phase : phases) {
            const auto losses = emulate(replicas, phase.kind, run_epoch++,
                                        [&](std::int64_t step) { return phase.at(step, steps_of_epoch); });
            expected.insert(expected.end(), losses.begin(), losses.end());
            // As validation begins.
            for (auto& each : replicas) each->set_statistics(replicas.front()->statistics());
        }
        ASSERT_EQ(expected.size(), static_cast<std::size_t>(2 * steps_of_epoch));

        std::vector<trained> runs(static_cast<std::size_t>(ranks));
        for (trained& each : runs) each = copy_of(start, network_);
        log_of_run log;
        std::uint64_t bytes = 0;
        petnet::testing::expect_no_failure(
            petnet::testing::run_ranks(ranks, [&](petnet::ranks::communicator& group) {
                trained& own = runs[static_cast<std::size_t>(group.rank())];
                const training_setup setup = setup_of(own, part, group);
                for (const model::parameter& each : own.parameters->trained())
                    if (!group.leads()) own.device->clear(each.value); // it gets rank 0's
                training_position position;
                share_start(setup, position);
                observer nobody;
                fine_tuner tuner(setup, phases, group.leads() ? log : nobody);
                EXPECT_TRUE(tuner.run(position, {[] { return false; }, [](const auto&, auto) {}}));
                if (group.leads()) bytes = group.bytes_reduced();
                group.leave();
            }));
        EXPECT_EQ(log.losses, expected);
        for (int rank = 0; rank < ranks; ++rank)
            expect_same(runs[static_cast<std::size_t>(rank)], replicas[static_cast<std::size_t>(rank)]->run);
        EXPECT_EQ(bytes, static_cast<std::uint64_t>(steps_of_epoch) *
                             (bytes_of_step(runs[0], model::phase::frozen) +
                              bytes_of_step(runs[0], model::phase::unfrozen)));
        expect_validation(log.epochs.back().validation, runs[0]);
    }

    // By one process, all photographs in one batch.
    void expect_validation(const validation_metrics& actual, const trained& run) {
        ASSERT_EQ(split_.valid.size(), static_cast<std::size_t>(part));
        model::plan plan(*run.parameters, network_, options(model::phase::evaluation));
        const kernels::device_memory memory = run.device->allocate(plan.memory_bytes());
        plan.bind(memory.get());
        data::loader loader(*photos_, labels_, split_.valid, data::pass::valid,
                            {.batch_size = part, .threads = 1});
        data::photo_batch both;
        ASSERT_TRUE(loader.next(both));
        run.device->write_bytes(plan.pixels(), std::as_bytes(std::span(both.pixels)));
        run.device->write_bytes(plan.target(), std::as_bytes(std::span(both.labels)));
        plan.execute();
        std::array<float, part> losses{};
        std::array<std::int32_t, part> predictions{};
        run.device->read(plan.row_loss(), std::span<float>(losses));
        run.device->read_bytes(plan.predictions(), std::as_writable_bytes(std::span(predictions)));
        double wrong = 0;
        for (std::size_t i = 0; i < predictions.size(); ++i)
            wrong += predictions[i] != both.labels[i] ? 1 : 0;
        EXPECT_EQ(actual.images, part);
        EXPECT_DOUBLE_EQ(actual.error_rate, wrong / part);
        EXPECT_NEAR(actual.loss, (double(losses[0]) + double(losses[1])) / part,
                    1e-6); // rows of another place
    }
};

TEST_F(shared_training, two_ranks_do_what_one_process_does_by_hand) { compare(2); }

class shared_training_of_a_small_network : public shared_training {
  protected:
    shared_training_of_a_small_network() : shared_training(small()) {}
};
TEST_F(shared_training_of_a_small_network, four_ranks_do_what_one_process_does_by_hand) { compare(4); }

// The first bucket is under way while layers before it have no gradient yet, and holds what it should.
TEST_F(shared_training, buckets_begin_while_the_backward_pass_goes_on) {
    const trained run = begin();
    all_reduce_in_test means(*run.device);
    model::plan_options how = options(model::phase::unfrozen);
    how.averages = &means;
    model::plan plan(*run.parameters, network_, how);
    const kernels::device_memory memory = run.device->allocate(plan.memory_bytes());
    plan.bind(memory.get());
    EXPECT_GE(means.buckets().size(), 4U);
    std::set<const float*> seen;
    for (const auto& bucket : means.buckets())
        for (const std::span<float> tensor : bucket) seen.insert(tensor.data());
    EXPECT_EQ(seen.size(), run.parameters->trained().size() + 1) << "each gradient once, and the loss";

    const auto order = data::epoch_order(split_.train, seed, 0);
    feed(*run.device, plan, 0, std::span(order).first(part));
    run.device->write(plan.settings(), std::span<const double>(adam_settings({.lr = {}, .mom = 0.9}, 1)));
    const std::span<const float> last = run.device->host_values(plan.gradient("conv1.weight"));
    std::vector<float> at_first_bucket;
    std::size_t begun = 0;
    means.on_begin = [&](const all_reduce_in_test::bucket& bucket) {
        if (begun++ == 0) at_first_bucket.assign(last.begin(), last.end());
        for (const std::span<float> tensor : bucket)
            for (const float value : tensor) ASSERT_TRUE(std::isfinite(value));
    };
    bool finished = false;
    means.on_finish = [&](const auto&) { finished = begun == means.buckets().size(); };
    plan.execute();
    EXPECT_TRUE(finished);
    EXPECT_FALSE(std::ranges::equal(last, at_first_bucket)) << "it was there when the first bucket began";
    EXPECT_EQ(begun, means.buckets().size());
}

} // namespace
