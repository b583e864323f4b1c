// SPDX-License-Identifier: Apache-2.0
// Errors of the CUDA runtime, with CUDA's names and values.
#pragma once

#define CUDA_HOST_ERRORS(X)                                                                                  \
    X(cudaSuccess, 0)                                                                                        \
    X(cudaErrorInvalidValue, 1)                                                                              \
    X(cudaErrorMemoryAllocation, 2)                                                                          \
    X(cudaErrorInitializationError, 3)                                                                       \
    X(cudaErrorCudartUnloading, 4)                                                                           \
    X(cudaErrorInvalidConfiguration, 9)                                                                      \
    X(cudaErrorInvalidMemcpyDirection, 21)                                                                   \
    X(cudaErrorStubLibrary, 34)                                                                              \
    X(cudaErrorInsufficientDriver, 35)                                                                       \
    X(cudaErrorCallRequiresNewerDriver, 36)                                                                  \
    X(cudaErrorDevicesUnavailable, 46)                                                                       \
    X(cudaErrorIncompatibleDriverContext, 49)                                                                \
    X(cudaErrorInvalidDeviceFunction, 98)                                                                    \
    X(cudaErrorNoDevice, 100)                                                                                \
    X(cudaErrorInvalidDevice, 101)                                                                           \
    X(cudaErrorStartupFailure, 127)                                                                          \
    X(cudaErrorInvalidKernelImage, 200)                                                                      \
    X(cudaErrorDeviceUninitialized, 201)                                                                     \
    X(cudaErrorNoKernelImageForDevice, 209)                                                                  \
    X(cudaErrorECCUncorrectable, 214)                                                                        \
    X(cudaErrorNvlinkUncorrectable, 220)                                                                     \
    X(cudaErrorUnsupportedPtxVersion, 222)                                                                   \
    X(cudaErrorContained, 226)                                                                               \
    X(cudaErrorOperatingSystem, 304)                                                                         \
    X(cudaErrorInvalidResourceHandle, 400)                                                                   \
    X(cudaErrorIllegalState, 401)                                                                            \
    X(cudaErrorNotReady, 600)                                                                                \
    X(cudaErrorIllegalAddress, 700)                                                                          \
    X(cudaErrorLaunchOutOfResources, 701)                                                                    \
    X(cudaErrorLaunchTimeout, 702)                                                                           \
    X(cudaErrorContextIsDestroyed, 709)                                                                      \
    X(cudaErrorAssert, 710)                                                                                  \
    X(cudaErrorHardwareStackError, 714)                                                                      \
    X(cudaErrorIllegalInstruction, 715)                                                                      \
    X(cudaErrorMisalignedAddress, 716)                                                                       \
    X(cudaErrorLaunchFailure, 719)                                                                           \
    X(cudaErrorNotPermitted, 800)                                                                            \
    X(cudaErrorNotSupported, 801)                                                                            \
    X(cudaErrorSystemNotReady, 802)                                                                          \
    X(cudaErrorSystemDriverMismatch, 803)                                                                    \
    X(cudaErrorCompatNotSupportedOnDevice, 804)                                                              \
    X(cudaErrorMpsConnectionFailed, 805)                                                                     \
    X(cudaErrorStreamCaptureUnsupported, 900)                                                                \
    X(cudaErrorStreamCaptureInvalidated, 901)                                                                \
    X(cudaErrorStreamCaptureMerge, 902)                                                                      \
    X(cudaErrorStreamCaptureUnmatched, 903)                                                                  \
    X(cudaErrorStreamCaptureUnjoined, 904)                                                                   \
    X(cudaErrorStreamCaptureIsolation, 905)                                                                  \
    X(cudaErrorStreamCaptureImplicit, 906)                                                                   \
    X(cudaErrorCapturedEvent, 907)                                                                           \
    X(cudaErrorStreamCaptureWrongThread, 908)                                                                \
    X(cudaErrorTimeout, 909)                                                                                 \
    X(cudaErrorExternalDevice, 911)                                                                          \
    X(cudaErrorUnknown, 999)

enum cudaError {
#define CUDA_HOST_ENUMERATOR(name, value) name = (value),
    CUDA_HOST_ERRORS(CUDA_HOST_ENUMERATOR)
#undef CUDA_HOST_ENUMERATOR
};
using cudaError_t = cudaError;
