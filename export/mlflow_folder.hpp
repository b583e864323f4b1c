// SPDX-License-Identifier: Apache-2.0
// An MLflow model with the ONNX flavour: a folder that mlflow.pyfunc.load_model reads, `mlflow models serve`
// serves, and Azure ML deploys without code.
#pragma once

#include "export/onnx_file.hpp"

#include <filesystem>

namespace petnet::exporting {

// Makes the folder `place` with MLmodel, model.onnx, conda.yaml, python_env.yaml and requirements.txt in it.
// input_error where something of that name is there already; environment_error as write_onnx, and where it
// cannot be made. The folder appears whole, or not at all.
void write_mlflow(const exported_model& model, onnx_input input, const std::filesystem::path& place);

} // namespace petnet::exporting
