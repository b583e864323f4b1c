// SPDX-License-Identifier: Apache-2.0
// Internal: how much memory stb_image may hold at once on this thread. A PNG or GIF can ask for a thousand
// times its own size; beyond the budget stb_image is refused memory and reports failure.
#pragma once

#include <stddef.h>

#ifdef __cplusplus
extern "C" {
#endif

void petnet_stb_set_budget(size_t bytes);

#ifdef __cplusplus
}
#endif
