// SPDX-License-Identifier: Apache-2.0
#include "train/run_identity.hpp"

#include "base/files.hpp"

#include <nlohmann/json.hpp>
#include <span>

namespace petnet::train {

bool is_utf8(const std::string& text) {
    try {
        static_cast<void>(nlohmann::json(text).dump());
        return true;
    } catch (const nlohmann::json::type_error&) {
        return false;
    }
}

nlohmann::json options_json(const train_options& o) {
    return {{"data", o.data.string()},
            {"labels", o.labels},
            {"file_column", o.columns.file},
            {"label_column", o.columns.label},
            {"valid_column", o.columns.valid},
            {"weights", o.weights},
            {"size", o.size},
            {"recipe", o.recipe},
            {"epochs", o.epochs},
            {"freeze_epochs", o.freeze_epochs},
            {"lr", o.lr},
            {"batch_size", o.batch_size},
            {"split", o.split},
            {"valid_pct", o.valid_pct.value_or(default_valid_pct)},
            {"valid_list", o.valid_list.string()},
            {"seed", o.seed},
            {"device", o.device},
            {"precision", o.precision},
            {"tf32", o.tf32},
            {"threads", o.threads},
            {"max_bad_images", o.max_bad_images.value_or(default_max_bad_images)},
            {"exif", o.exif},
            {"output", o.output.string()},
            {"checkpoint_minutes", o.checkpoint_minutes},
            {"logs", o.logs}};
}

std::string identity_of(const train_options& options, const std::string& precision,
                        const std::string& weights, const data::image_folder& folder,
                        const data::photo_labels& labels, const data::photo_split& split) {
    nlohmann::json deciding = options_json(options);
    for (const char* free : {"data", "weights", "file_column", "label_column", "valid_column", "split",
                             "valid_list", "threads", "output", "checkpoint_minutes", "logs"})
        deciding.erase(free);
    deciding["precision"] = precision;
    deciding["classes"] = labels.class_names;
    deciding["classes_of_photographs"] = sha256(std::as_bytes(std::span(labels.of_photo)));
    std::string validation;
    for (const std::size_t index : split.valid) validation += folder.photos[index].name + "\n";
    const std::string text = deciding.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace) +
                             folder.fingerprint() + weights + sha256(std::as_bytes(std::span(validation)));
    return sha256(std::as_bytes(std::span(text)));
}

} // namespace petnet::train
