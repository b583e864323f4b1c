// SPDX-License-Identifier: Apache-2.0
// Shared memory of a block, as one typed object.
#pragma once

namespace petnet::kernels::cuda {

// The block's object of type T, uninitialised at the kernel's start; at most 48 KB. The only place where
// __shared__ is used: the tests' emulation gives it its meaning, and its poison, here.
template <class T> __device__ T& shared_memory() {
    __shared__ alignas(16) unsigned char bytes[sizeof(T)];
    return reinterpret_cast<T&>(bytes);
}

} // namespace petnet::kernels::cuda
