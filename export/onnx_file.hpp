// SPDX-License-Identifier: Apache-2.0
// A model as ONNX (opset 17, IR version 8), by ONNX's own protobuf schema.
#pragma once

#include "export/exported_model.hpp"

#include <filesystem>

namespace petnet::exporting {

// What the graph takes.
enum class onnx_input : std::uint8_t {
    tensor, // "input": f32 (N, 3, size, size), RGB, already (value / 255 - mean) / std
    pixels, // "pixels": u8 (N, photo_size, photo_size, 3), RGB: the square that petnet cuts of a photograph
            // (the centre, resized as Pillow's bilinear filter does, which no ONNX operator can); the graph
            // samples it down where photo_size is not size, and normalises it
};

// N is free; the graph gives "logits": f32 (N, classes). The file's metadata_props are those of
// model::metadata_of. environment_error where this build has no ONNX, or writing fails.
void write_onnx(const exported_model& model, onnx_input input, const std::filesystem::path& file);

} // namespace petnet::exporting
