// SPDX-License-Identifier: Apache-2.0
// A convolution, with its sums or without, as a graph of cuDNN: what plans there are for it, built and
// executed. cuDNN's headers are included by cudnn_graph.cpp alone, as they take a quarter of a minute to
// compile.
#pragma once

#include "kernels/cuda/convolution.hpp"

#include <cstddef>
#include <cstdint>
#include <cuda_runtime.h>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

struct cudnnContext; // what cudnnHandle_t points to

namespace petnet::kernels::cuda {

// The version of the headers that cuDNN is used through; another one may name or order plans differently.
[[nodiscard]] std::string cudnn_frontend_version();

// cuDNN on the current device.
class cudnn_handle {
  public:
    // environment_error where cuDNN cannot be loaded or does not work on the device.
    cudnn_handle();
    ~cudnn_handle();
    cudnn_handle(const cudnn_handle&) = delete;
    cudnn_handle& operator=(const cudnn_handle&) = delete;
    [[nodiscard]] cudnnContext* get() const noexcept { return handle_; }
    // Executions from now on are ordered on this stream.
    void set_stream(cudaStream_t stream);

  private:
    cudnnContext* handle_ = nullptr;
    std::optional<cudaStream_t> stream_;
};

// One way to compute a graph: an engine of cuDNN with its settings.
struct cudnn_plan {
    std::int64_t index; // in the graph it is from
    std::string name;   // "eng62_k2=5_k13=1": the same on every graph of the problem on such a device
    std::size_t workspace_bytes;
};

// The result has the dtype of the activations, the gradient of weights too: no engine of cuDNN 9.19 for any
// device (7.5 to 12.0) takes 16-bit activations and writes a float32 gradient, short of compiling a kernel at
// run time. Products are summed in float32.
//
// Plans that would break what petnet promises are not among them:
//   * nondeterministic ones: same inputs, same bits;
//   * Winograd's and Fourier transforms, sums and inputs in reduced precision: the tolerances of
//     docs/numerics.md are those of plain float32 sums;
//   * float32 on tensor cores, which round its inputs to 11 bits of mantissa (TF32), unless `tf32`: engines
//   of
//     that kind carry the note TENSOR_CORE; the note DOWN_CONVERT_INPUTS is that of inputs rounded to 16
//     bits;
//   * those that compile a kernel when they are built: seconds for each, for plans that the heuristics rank
//   last.
class cudnn_graph {
  public:
    // environment_error where cuDNN cannot do it on the handle's device.
    cudnn_graph(const cudnn_handle& cudnn, const stored_convolution& problem, bool tf32);
    // For a device that is not there: plans are listed and built, but not executed. `device` is cuDNN's own
    // description of one, in JSON.
    cudnn_graph(std::string_view device, const stored_convolution& problem, bool tf32);
    ~cudnn_graph();

    // The first `limit` plans that need no larger workspace, best by cuDNN's heuristics first. Where all need
    // a larger one, the one that needs the least. Empty where cuDNN has no plan.
    [[nodiscard]] std::vector<cudnn_plan> plans(std::size_t limit, std::size_t workspace_bytes);
    // The plan of this name, if there is one.
    [[nodiscard]] std::optional<cudnn_plan> plan(const std::string& name);

    // On the handle's stream; a gradient of weights, scale and shift in the dtype of the activations.
    // environment_error where cuDNN refuses.
    void execute(const cudnn_handle& cudnn, const cudnn_plan& plan, const convolution_operands& on,
                 std::byte* workspace);

  private:
    class implementation;
    std::unique_ptr<implementation> graph_;
};

} // namespace petnet::kernels::cuda
