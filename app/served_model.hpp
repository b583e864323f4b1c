// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>

namespace petnet::app {

// The model that `petnet serve` serves: `named` by --model (a file, or a folder that it is in); else, where
// Azure ML has mounted a model, the one model.safetensors below AZUREML_MODEL_DIR, however deep; else
// outputs/model.safetensors. input_error where there is none below AZUREML_MODEL_DIR, or more than one.
[[nodiscard]] std::string served_model(const std::string& named);

} // namespace petnet::app
