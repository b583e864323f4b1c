// SPDX-License-Identifier: Apache-2.0
// What a checkpoint says of its run comes back; what no run of petnet's can have written is refused.
#include "train/checkpoint.hpp"

#include "base/errors.hpp"
#include "base/files.hpp"

#include <array>
#include <cmath>
#include <filesystem>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <limits>
#include <nlohmann/json.hpp>
#include <unistd.h>
#include <utility>

using namespace petnet;
using namespace petnet::train;
using ::testing::HasSubstr;
using ::testing::ThrowsMessage;

namespace {

namespace fs = std::filesystem;

// A frozen epoch and three unfrozen ones, of seven steps each.
constexpr std::int64_t steps = 7;
const std::vector<training_phase> phases = fine_tune_phases(3, 2e-3, 1);

class checkpoint_test : public ::testing::Test {
  protected:
    ~checkpoint_test() override {
        std::error_code ignored;
        fs::remove(file_, ignored);
    }

    void write(const checkpoint_info& info) const { write_checkpoint(file_, tensors(), info); }
    void write(const std::string& info) const {
        model::write_safetensors(file_, tensors(), {{"petnet.checkpoint", info}});
    }
    // With the checksum that belongs to it.
    void write_sealed(nlohmann::json info) const {
        info["checksum"] = checkpoint_checksum(info.dump(), tensors());
        write(info.dump());
    }
    [[nodiscard]] const fs::path& file() const { return file_; }

  private:
    [[nodiscard]] std::array<model::weight_tensor, 1> tensors() const {
        return {model::float32_tensor("bn1.weight", {2}, values_)};
    }
    std::array<float, 2> values_{1.5F, -2};
    fs::path file_ =
        fs::temp_directory_path() / ("petnet_checkpoint_" + std::to_string(::getpid()) + ".safetensors");
};

// In the second unfrozen epoch, after its third step.
checkpoint_info within() {
    return {.position = {.phase = 1,
                         .epoch = 1,
                         .step_in_epoch = 3,
                         .step = 17,
                         .train_loss = {.average = 0.1 + 0.2, .count = 10}},
            .identity = "some run",
            .metrics_bytes = 4711};
}

TEST_F(checkpoint_test, comes_back) {
    for (const double average : {0.1 + 0.2, std::numeric_limits<double>::quiet_NaN()}) {
        checkpoint_info info = within();
        info.position.train_loss.average = average;
        write(info);
        const checkpoint read = read_checkpoint(file());
        EXPECT_EQ(read.info.position.phase, 1);
        EXPECT_EQ(read.info.position.epoch, 1);
        EXPECT_EQ(read.info.position.step_in_epoch, 3);
        EXPECT_EQ(read.info.position.step, 17);
        EXPECT_EQ(read.info.position.train_loss.count, 10);
        if (std::isnan(average))
            EXPECT_TRUE(std::isnan(read.info.position.train_loss.average));
        else
            EXPECT_EQ(read.info.position.train_loss.average, average) << "other bits";
        EXPECT_EQ(read.info.identity, "some run");
        EXPECT_EQ(read.info.metrics_bytes, 4711U);
        ASSERT_NE(read.state.find("bn1.weight"), nullptr);
        EXPECT_EQ(read.state.find("bn1.weight")->to_float32(), (std::vector<float>{1.5F, -2}));
    }
}

TEST_F(checkpoint_test, what_petnet_does_not_write_is_refused) {
    write(within());
    auto info = nlohmann::json::parse(read_checkpoint(file()).state.metadata.at("petnet.checkpoint"));
    info.erase("checksum");
    write_sealed(info);
    EXPECT_NO_THROW(static_cast<void>(read_checkpoint(file())));
    const std::uint64_t beyond = std::uint64_t{1} << 63;
    for (const auto& [key, value] :
         std::vector<std::pair<const char*, nlohmann::json>>{{"version", 1},
                                                             {"phase", -1},
                                                             {"epoch", -5},
                                                             {"epoch", std::int64_t{1} << 62},
                                                             {"epoch", beyond},
                                                             {"step_in_epoch", 0.5},
                                                             {"step", 1e300},
                                                             {"step", "many"},
                                                             {"step", nullptr},
                                                             {"train_loss_count", -1},
                                                             {"train_loss_average", "high"},
                                                             {"identity", 1},
                                                             {"metrics_bytes", -1},
                                                             {"metrics_bytes", 1e300},
                                                             {"metrics_bytes", beyond}}) {
        SCOPED_TRACE(std::string(key) + ' ' + value.dump());
        auto lie = info;
        lie[key] = value;
        write_sealed(lie);
        EXPECT_THAT([&] { static_cast<void>(read_checkpoint(file())); },
                    ThrowsMessage<input_error>(HasSubstr(file().string() + " is damaged, or of another")));
        lie.erase(key);
        write_sealed(lie);
        EXPECT_THROW(static_cast<void>(read_checkpoint(file())), input_error) << "without it";
    }
    write(info.dump());
    EXPECT_THROW(static_cast<void>(read_checkpoint(file())), input_error) << "without a checksum";
    for (const char* text : {"", "{", "[]", "null"}) {
        write(std::string(text));
        EXPECT_THROW(static_cast<void>(read_checkpoint(file())), input_error) << text;
    }
}

TEST_F(checkpoint_test, any_changed_byte_is_noticed) {
    checkpoint_info info = within();
    info.position.train_loss.average = 0.5; // no digit of it goes without changing the number
    write(info);
    const std::vector<std::byte> bytes = read_file(file(), 100'000);
    for (std::size_t i = 0; i < bytes.size(); ++i) {
        std::vector<std::byte> changed = bytes;
        changed[i] ^= std::byte{1};
        if (changed[i] == std::byte{' '} || bytes[i] == std::byte{' '})
            continue; // between the header's parts
        write_file_atomically(file(), [&](const byte_sink& sink) { sink(changed); });
        EXPECT_THROW(static_cast<void>(read_checkpoint(file())), input_error) << "byte " << i;
    }
}

TEST(checkpoint_position, is_one_that_the_run_passes_by) {
    const auto require = [](const training_position& at) { require_position(at, phases, steps, "FILE"); };
    const training_position good = within().position;
    const training_position beginning, end{.phase = 2, .step = 4 * steps};
    const training_position before_validation{
        .epoch = 0, .step_in_epoch = steps, .step = steps, .train_loss = {1, steps}};
    for (const training_position& at : {good, beginning, end, before_validation})
        EXPECT_NO_THROW(require(at));

    const auto refused = [&](training_position at, std::int64_t training_position::*member,
                             std::int64_t value) {
        at.*member = value;
        EXPECT_THAT([&] { require(at); }, ThrowsMessage<input_error>(HasSubstr("FILE is damaged"))) << value;
    };
    for (const std::int64_t phase : {0, 2, 3, 99}) refused(good, &training_position::phase, phase);
    for (const std::int64_t epoch :
         {std::int64_t{0}, std::int64_t{2}, std::int64_t{3}, std::int64_t{1000}, std::int64_t{1} << 52})
        refused(good, &training_position::epoch, epoch);
    for (const std::int64_t step : {0, 2, 8, 1'000'000})
        refused(good, &training_position::step_in_epoch, step);
    for (const std::int64_t step : {0, 16, 18}) refused(good, &training_position::step, step);
    refused(end, &training_position::epoch, 1);
    refused(end, &training_position::step_in_epoch, 1);
    refused(end, &training_position::step, 4 * steps - 1);
    training_position miscounted = good;
    miscounted.train_loss.count = 1000;
    EXPECT_THROW(require(miscounted), input_error);
}

} // namespace
