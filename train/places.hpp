// SPDX-License-Identifier: Apache-2.0
// Where the files lie that petnet brings along, and those that it fetches.
#pragma once

#include "data/work_listener.hpp"

#include <filesystem>

namespace petnet::train {

// The embedded sample: `images/` and the weights. PETNET_SAMPLE_DIR, else share/petnet/sample beside the
// program's folder, else the source tree it was built from. environment_error where none of them is there.
[[nodiscard]] std::filesystem::path sample_folder();
[[nodiscard]] std::filesystem::path embedded_weights();

// The folder that --data means: the embedded sample where it is empty; the Oxford-IIIT Pet data set where it
// is "pets" and nothing of that name is here; else itself. The data set, and the file of --weights imagenet,
// are fetched into the cache folder where they are not there yet: errors as data::fetch's.
[[nodiscard]] std::filesystem::path data_folder(const std::filesystem::path& data,
                                                const data::work_listener& listener);
[[nodiscard]] std::filesystem::path imagenet_weights(const data::work_listener& listener);

} // namespace petnet::train
