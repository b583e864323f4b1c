// SPDX-License-Identifier: Apache-2.0
// Runs two backends side by side on the live work and reports where the second departs from the first.
#pragma once

#include "kernels/backend.hpp"

#include <functional>
#include <memory>
#include <string>

namespace petnet::kernels {

// Behaves as `trusted`: its values go on. After each operation every written operand of `judged` is compared
// with it, then replaced by it, so that each departure is the work of one operation. on_departure may be
// empty.
//
// What is compared and how: kernels/check_backend.cpp.
[[nodiscard]] std::unique_ptr<backend>
make_check_backend(std::unique_ptr<backend> trusted, std::unique_ptr<backend> judged,
                   std::function<void(const std::string&)> on_departure);

} // namespace petnet::kernels
