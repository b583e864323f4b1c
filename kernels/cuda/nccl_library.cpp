// SPDX-License-Identifier: Apache-2.0
#include "kernels/cuda/nccl_library.hpp"

#include "base/errors.hpp"

#include <dlfcn.h>
#include <string>

namespace petnet::kernels::cuda {
namespace {

constexpr const char* nccl_name = "libnccl.so.2";
constexpr int oldest_nccl = 21000; // 2.10: ncclAvg

template <class Function> void look_up(void* handle, const char* symbol, Function& function) {
    function = reinterpret_cast<Function>(::dlsym(handle, symbol));
    if (function == nullptr) throw environment_error(std::string(nccl_name) + " has no " + symbol);
}

nccl_library load() {
    void* handle = ::dlopen(nccl_name, RTLD_NOW | RTLD_LOCAL);
    if (handle == nullptr)
        throw environment_error(
            std::string("NCCL was not found, which training on several GPUs needs: install it (the CUDA "
                        "packages of your system have it), with the folder of ") +
            nccl_name + " in LD_LIBRARY_PATH");
    decltype(&ncclGetVersion) get_version = nullptr;
    look_up(handle, "ncclGetVersion", get_version);
    int version = 0;
    if (get_version(&version) != ncclSuccess || version < oldest_nccl)
        throw environment_error(std::string("NCCL 2.10 or newer is needed; ") + nccl_name + " is " +
                                std::to_string(version));
    nccl_library library{};
    look_up(handle, "ncclGetUniqueId", library.get_unique_id);
    look_up(handle, "ncclCommInitRank", library.comm_init_rank);
    look_up(handle, "ncclCommDestroy", library.comm_destroy);
    look_up(handle, "ncclAllReduce", library.all_reduce);
    look_up(handle, "ncclGroupStart", library.group_start);
    look_up(handle, "ncclGroupEnd", library.group_end);
    look_up(handle, "ncclGetErrorString", library.error_string);
    return library;
}

} // namespace

const nccl_library& load_nccl() {
    static const nccl_library library = load(); // tried again at the next call if it throws
    return library;
}

} // namespace petnet::kernels::cuda
