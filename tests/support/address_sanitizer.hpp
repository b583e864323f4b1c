// SPDX-License-Identifier: Apache-2.0
// Whether AddressSanitizer watches this program: its memory and times then say nothing about the product's.
#pragma once

namespace petnet::testing {

// gcc defines a macro, clang has a feature.
#if defined(__SANITIZE_ADDRESS__)
inline constexpr bool address_sanitizer = true;
#elif defined(__has_feature)
inline constexpr bool address_sanitizer = __has_feature(address_sanitizer);
#else
inline constexpr bool address_sanitizer = false;
#endif

} // namespace petnet::testing
