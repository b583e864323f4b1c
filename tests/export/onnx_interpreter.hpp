// SPDX-License-Identifier: Apache-2.0
// Computes what an ONNX graph says, by plain loops: of the operators that petnet writes, and only as it uses
// them. It knows nothing of petnet's network.
#pragma once

#include <cstddef>
#include <cstdint>
#include <onnx/onnx_pb.h>
#include <vector>

namespace petnet::testing {

struct onnx_value {
    std::vector<std::int64_t> dims; // row-major
    std::vector<float> data;
};

// The graph's output for its one input. std::runtime_error: an operator or a use of one that is not known
// here.
[[nodiscard]] onnx_value run_onnx(const onnx::GraphProto& graph, onnx_value input);

} // namespace petnet::testing
