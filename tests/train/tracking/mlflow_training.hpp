// SPDX-License-Identifier: Apache-2.0
// What a training tells MLflow, and what a server of ours must then know.
#pragma once

#include "tests/data/test_folder.hpp"
#include "tests/support/fake_mlflow.hpp"
#include "train/tracking/mlflow_sink.hpp"

#include <chrono>
#include <cstdint>
#include <functional>
#include <gtest/gtest.h>
#include <map>
#include <string>
#include <string_view>
#include <vector>

namespace petnet::testing {

using namespace petnet::tracking;
using namespace std::chrono_literals;

inline constexpr std::string_view secret = "a-token-that-nobody-may-see";

class mlflow : public ::testing::Test {
  protected:
    // Patient for as long as a test, but not longer.
    [[nodiscard]] static mlflow_patience patience() {
        return {.first_wait = 1ms,
                .longest_wait = 20ms,
                .between_steps = 0ms,
                .collect = 5ms,
                .end = 30s, // on a machine that is busy with other tests
                .end_unreached = 30s,
                .end_hurried = 200ms};
    }

    [[nodiscard]] mlflow_settings settings_for(const std::string& uri,
                                               std::map<std::string, std::string> more = {}) const {
        more.insert({{"MLFLOW_TRACKING_URI", uri}, {"MLFLOW_TRACKING_TOKEN", std::string(secret)}});
        auto settings = read_mlflow_settings([&](const char* name) { return more[name]; });
        settings->timeout = 30s;
        return *settings;
    }

    [[nodiscard]] std::filesystem::path memory() const { return folder_.path() / "mlflow_run.json"; }

    [[nodiscard]] static run_start description(std::int64_t first_step = 0) {
        return {.name = "outputs",
                .identity = "the same",
                .first_step = first_step,
                .parameters = {{"epochs", "4"}, {"base_lr", "0.002"}},
                .tags = {{"petnet.version", "0"}}};
    }

    static report step(std::int64_t number) { return {number, 0, {{"loss", static_cast<double>(number)}}}; }
    static report epoch(std::int64_t number) {
        return {10 * number, number, {{"error_rate", static_cast<double>(number)}}};
    }

    // A training of so many epochs of ten steps; its warnings.
    std::vector<std::string> train(mlflow_sink& sink, std::int64_t epochs = 3,
                                   ending how = ending::finished) {
        sink.start(description());
        for (std::int64_t e = 0; e < epochs; ++e) {
            for (std::int64_t s = 10 * e; s < 10 * (e + 1); ++s) sink.step(step(s));
            sink.epoch(epoch(e));
            if (after_epoch_) after_epoch_();
        }
        sink.keep({.name = "model/note.txt", .text = "weights"});
        sink.end(how, [] { return false; });
        std::vector<std::string> warnings = sink.take_warnings();
        for (const std::string& line : warnings) {
            EXPECT_EQ(line.find(secret), std::string::npos) << line;
            EXPECT_EQ(line.find('\n'), std::string::npos) << line;
        }
        return warnings;
    }

    // All steps and epochs, each once and in order.
    static void expect_all(const told_run& run, std::int64_t epochs = 3) {
        std::int64_t steps = 0, ends = 0;
        for (const told_metric& each : run.metrics) {
            if (each.name == "loss") {
                EXPECT_EQ(each.step, steps++);
            }
            if (each.name == "error_rate") {
                EXPECT_EQ(each.step, ends++);
                EXPECT_EQ(steps, 10 * ends) << "an epoch before its steps";
            }
        }
        EXPECT_EQ(steps, 10 * epochs);
        EXPECT_EQ(ends, epochs);
        EXPECT_EQ(run.parameters.at("epochs"), "4");
        EXPECT_EQ(run.tags.at("petnet.version"), "0");
        EXPECT_EQ(run.artifacts.at("model/note.txt"), "weights");
    }

    static void expect_one_warning(const std::vector<std::string>& warnings, const std::string& part) {
        ASSERT_EQ(warnings.size(), 1U) << ::testing::PrintToString(warnings);
        EXPECT_NE(warnings[0].find(part), std::string::npos) << warnings[0];
    }

    test::temporary_folder folder_;
    std::function<void()> after_epoch_;
};

} // namespace petnet::testing
