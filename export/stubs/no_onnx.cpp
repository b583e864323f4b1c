// SPDX-License-Identifier: Apache-2.0
// Linked where ONNX's schema was not found.
#include "export/onnx_file.hpp"

#include "base/errors.hpp"

namespace petnet::exporting {

void write_onnx(const exported_model&, onnx_input, const std::filesystem::path&) {
    throw environment_error("this petnet was built without ONNX (petnet doctor says why)");
}

} // namespace petnet::exporting
