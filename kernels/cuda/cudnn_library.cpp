// SPDX-License-Identifier: Apache-2.0
#include "kernels/cuda/cudnn_library.hpp"

#include "base/errors.hpp"

#include <cstddef>
#include <dlfcn.h>
#include <fmt/format.h>

namespace petnet::kernels::cuda {
namespace {

constexpr const char* cudnn_name = "libcudnn.so.9";

// Engines are asked for their workspace before they are built since 9.2, and described for devices that are
// not there since 9.8 (the tests do that).
constexpr std::size_t oldest_cudnn = 90800;

std::string text_of(std::size_t version) {
    return fmt::format("{}.{}.{}", version / 10000, version / 100 % 100, version % 100);
}

void* open() {
    if (void* handle = ::dlopen(cudnn_name, RTLD_NOW | RTLD_LOCAL)) return handle;
    if (void* handle = ::dlopen(PETNET_CUDNN_LIBRARY, RTLD_NOW | RTLD_LOCAL)) return handle;
    throw environment_error(
        fmt::format("cuDNN 9 not found: install it (the CUDA packages of your system have it, "
                    "and so has pip install nvidia-cudnn-cu13), with the folder of {} in "
                    "LD_LIBRARY_PATH",
                    cudnn_name));
}

cudnn_library load() {
    void* handle = open();
    using version_function = std::size_t (*)();
    const auto version_of = reinterpret_cast<version_function>(::dlsym(handle, "cudnnGetVersion"));
    if (version_of == nullptr) throw environment_error(fmt::format("{} is not cuDNN", cudnn_name));
    const std::size_t version = version_of();
    if (version < oldest_cudnn)
        throw environment_error(fmt::format("cuDNN {} or newer is needed; {} is {}", text_of(oldest_cudnn),
                                            cudnn_name, text_of(version)));
    return {handle, text_of(version)};
}

} // namespace

const cudnn_library& load_cudnn() {
    static const cudnn_library library = load(); // tried again at the next call if it throws
    return library;
}

} // namespace petnet::kernels::cuda
