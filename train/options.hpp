// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "data/label_table.hpp"

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>

namespace petnet::train {

inline constexpr double default_valid_pct = 0.2, default_max_bad_images = 0.01;

// `petnet train`'s options; interface.md gives their meaning, the help texts in app/ repeat it.
struct train_options {
    std::filesystem::path data;  // empty: the embedded sample
    std::string labels;          // empty: data::default_rule()
    data::table_columns columns; // of --labels csv=FILE
    std::string split = "auto";  // "auto", "random" or "folders"
    std::string weights; // "imagenet", "embedded", "random", FILE or FILE:KEY; empty: embedded with the
                         // sample, else imagenet
    std::int64_t size = 224;
    std::string recipe = "basic";
    std::int64_t epochs = 1, freeze_epochs = 1;
    double lr = 2e-3;
    std::int64_t batch_size = 64;
    std::optional<double> valid_pct;  // of a random split; nothing: default_valid_pct
    std::filesystem::path valid_list; // empty: split as `split` says
    std::uint64_t seed = 42;
    std::string device = "auto", precision = "auto";
    bool tf32 = false;                         // float32 convolutions on a GPU's tensor cores
    int threads = 0;                           // 0: all that the process may use
    std::optional<double> max_bad_images;      // nothing: default_max_bad_images, and no class may be lost
    bool exif = false;                         // photographs are turned by their EXIF orientation
    std::optional<std::uint64_t> cache_memory; // bytes; nothing: half of what the process may use
    std::filesystem::path output = "outputs";
    std::string resume = "auto";   // "auto", "never" or a checkpoint file
    double checkpoint_minutes = 5; // between checkpoints within an epoch; 0: none there
    std::string logs;              // folder for TensorBoard's events; empty: `logs` beside output; "none"
};

} // namespace petnet::train
