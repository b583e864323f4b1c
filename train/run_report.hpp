// SPDX-License-Identifier: Apache-2.0
// What a finished training looks like: report.html and training.svg in its folder.
#pragma once

#include "data/photo_store.hpp"
#include "train/observer.hpp"

#include <filesystem>
#include <nlohmann/json_fwd.hpp>
#include <vector>

namespace petnet::train {

// `record` is run.json's content; the curves are read from metrics.jsonl; `answers` are those of the last
// epoch (empty: a report without them). The photographs with the largest losses are shown from `photos`.
// input_error or environment_error where a file cannot be read or written.
void write_run_report(const std::filesystem::path& folder, const nlohmann::json& record,
                      const std::vector<validated_photo>& answers, data::photo_store& photos);

} // namespace petnet::train
