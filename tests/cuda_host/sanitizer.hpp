// SPDX-License-Identifier: Apache-2.0
// AddressSanitizer's calls; null in a build without it.
#pragma once

#include <cstddef>

// NOLINTBEGIN(clang-diagnostic-reserved-*): their names.
extern "C" {
void __sanitizer_start_switch_fiber(void** fake_stack_save, const void* bottom, std::size_t size)
    __attribute__((weak));
void __sanitizer_finish_switch_fiber(void* fake_stack_save, const void** bottom_old, std::size_t* size_old)
    __attribute__((weak));
void __asan_poison_memory_region(const volatile void* address, std::size_t size) __attribute__((weak));
void __asan_unpoison_memory_region(const volatile void* address, std::size_t size) __attribute__((weak));
}
// NOLINTEND(clang-diagnostic-reserved-*)

namespace cuda_host {

inline bool has_address_sanitizer() { return __asan_poison_memory_region != nullptr; }
inline void close_memory(const void* address, std::size_t size) {
    if (has_address_sanitizer()) __asan_poison_memory_region(address, size);
}
inline void open_memory(const void* address, std::size_t size) {
    if (has_address_sanitizer()) __asan_unpoison_memory_region(address, size);
}

} // namespace cuda_host
