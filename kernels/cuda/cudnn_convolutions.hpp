// SPDX-License-Identifier: Apache-2.0
// Convolutions by cuDNN: for each problem the fastest of the plans that keep petnet's promises
// (cudnn_graph.hpp), found by timing them once on the device and remembered on disk (plan_cache.hpp).
#pragma once

#include "kernels/cuda/convolution.hpp"

#include <cstddef>
#include <filesystem>
#include <functional>
#include <memory>
#include <string>

namespace petnet::kernels::cuda {

struct cudnn_options {
    bool tf32 = false; // float32 products on tensor cores, their inputs rounded to 11 bits of mantissa
    bool tune = true;  // times plans that no folder remembers; else cuDNN's ranking decides
    // Pairs. `when_faster` needs times: they stay separate where nothing is timed. `always` takes the first
    // plan that agrees, and remembers nothing.
    fusion fuse = fusion::when_faster;
    // The most that a plan may need, unless all need more; 0: a 64th of the device's memory, but 256 MB at
    // least and 1 GB at most. (float32 without TF32 wants as much as the tensors themselves, 16 bits a tenth
    // of it.)
    std::size_t workspace_bytes = 0;
    // Where choices are kept. Empty, or not writable: nothing is timed, so that runs repeat bit for bit.
    std::filesystem::path cache_folder;
    std::function<void(const std::string&)> on_warning;
};

// On the current device; the stream is what plans are timed on, and outlives the result. environment_error
// where cuDNN cannot be loaded or does not work on the device.
[[nodiscard]] std::unique_ptr<convolutions> make_cudnn_convolutions(cudaStream_t stream,
                                                                    const cudnn_options& options);

} // namespace petnet::kernels::cuda
