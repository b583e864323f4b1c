// SPDX-License-Identifier: Apache-2.0
// cuDNN is loaded when it is first needed, not linked: petnet starts where it is missing, and says so.
#pragma once

#include <string>

namespace petnet::kernels::cuda {

struct cudnn_library {
    void* handle;        // of dlopen; stays open
    std::string version; // "9.19.0"
};

// Found where the dynamic linker looks (the program's RUNPATH, LD_LIBRARY_PATH, the system's folders), else
// where the build found it. environment_error where there is none or it is older than this code has been used
// with.
[[nodiscard]] const cudnn_library& load_cudnn();

} // namespace petnet::kernels::cuda
