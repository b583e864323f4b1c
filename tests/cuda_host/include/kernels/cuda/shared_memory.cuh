// SPDX-License-Identifier: Apache-2.0
// Stands for kernels/cuda/shared_memory.cuh in the tests, before which it lies on the include path: g++ 12
// puts no local variable of a template into a named section, so `__shared__` as a macro could not be
// poisoned.
#pragma once

#include "cuda_host/device.hpp"

#include <type_traits>

namespace petnet::kernels::cuda {

template <class T> T& shared_memory() {
    static_assert(std::is_trivially_copyable_v<T> && sizeof(T) <= 48 * 1024);
    static constexpr char key = 0; // its address is that of the type
    return *reinterpret_cast<T*>(cuda_host::shared_bytes(&key, sizeof(T), alignof(T)));
}

} // namespace petnet::kernels::cuda
