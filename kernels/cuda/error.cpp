// SPDX-License-Identifier: Apache-2.0
#include "kernels/cuda/error.hpp"

#include "base/errors.hpp"

namespace petnet::kernels::cuda {
namespace {

std::string cuda_version(int version) {
    return std::to_string(version / 1000) + "." + std::to_string(version % 1000 / 10);
}

} // namespace

std::string in_plain_words(cudaError_t result) {
    switch (result) {
    case cudaErrorNoDevice:
        return "no NVIDIA GPU was found";
    case cudaErrorInsufficientDriver: {
        int driver = 0;
        static_cast<void>(cudaDriverGetVersion(&driver));
        if (driver == 0) return "no NVIDIA driver was found";
        return "the NVIDIA driver supports CUDA " + cuda_version(driver) + " and this build needs " +
               cuda_version(CUDART_VERSION) + ": update the driver";
    }
    case cudaErrorSystemDriverMismatch:
        return "the NVIDIA driver was updated and the old one is still loaded: restart the machine";
    case cudaErrorNoKernelImageForDevice:
    case cudaErrorUnsupportedPtxVersion:
        return "this build has no code for this GPU: it needs compute capability 7.5 or newer";
    case cudaErrorDevicesUnavailable:
        return "another process has the GPU for itself, or its compute mode forbids this one";
    case cudaErrorMemoryAllocation:
        return "the GPU's memory is full";
    case cudaErrorECCUncorrectable:
    case cudaErrorHardwareStackError:
    case cudaErrorLaunchFailure:
    case cudaErrorIllegalAddress:
    case cudaErrorLaunchTimeout:
        return std::string("the GPU reported a fault (") + cudaGetErrorString(result) +
               ") and this process cannot use it any more; `dmesg | grep Xid` says which. The last "
               "checkpoint "
               "is not touched: the same command continues from it";
    default:
        return cudaGetErrorString(result);
    }
}

void check(cudaError_t result, std::string_view doing) {
    if (result == cudaSuccess) return;
    static_cast<void>(cudaGetLastError()); // takes it off the record
    throw environment_error("CUDA: " + std::string(doing) + " failed: " + in_plain_words(result));
}

} // namespace petnet::kernels::cuda
