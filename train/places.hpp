// SPDX-License-Identifier: Apache-2.0
// Where the files lie that petnet brings along or keeps between runs.
#pragma once

#include <filesystem>
#include <string>

namespace petnet::train {

// The embedded sample: `images/` and the weights. PETNET_SAMPLE_DIR, else share/petnet/sample beside the
// program's folder, else the source tree it was built from. environment_error where none of them is there.
[[nodiscard]] std::filesystem::path sample_folder();
[[nodiscard]] std::filesystem::path embedded_weights();

// PETNET_CACHE_DIR, else XDG_CACHE_HOME/petnet, else ~/.cache/petnet.
[[nodiscard]] std::filesystem::path cache_folder();

// The file of `--weights imagenet` in the cache folder. environment_error saying what to download and where
// to put it where it is not there.
[[nodiscard]] std::filesystem::path imagenet_weights();

} // namespace petnet::train
