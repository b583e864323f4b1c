// SPDX-License-Identifier: Apache-2.0
// Which convolutions the backend has: cuDNN's. (The tests link others.)
#include "base/errors.hpp"
#include "kernels/cuda/cudnn_convolutions.hpp"
#include "kernels/cuda/cudnn_library.hpp"

namespace petnet::kernels::cuda {

std::unique_ptr<convolutions> make_convolutions(cudaStream_t on_stream, const backend_options& options) {
    return make_cudnn_convolutions(on_stream, {.tf32 = options.tf32,
                                               .fuse = options.fuse,
                                               .cache_folder = options.cache_folder,
                                               .on_warning = options.on_warning});
}

std::string why_no_convolutions() {
    try {
        static_cast<void>(load_cudnn());
        return {};
    } catch (const environment_error& e) {
        return e.what();
    }
}

} // namespace petnet::kernels::cuda
