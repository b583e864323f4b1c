// SPDX-License-Identifier: Apache-2.0
// Where the device's memory is the host's, the loader cuts the squares (data/loader.hpp): this backend has
// the operation for those who compare backends, as the oracle's plain loops.
#include "kernels/cpu/context.hpp"
#include "kernels/reference/operations.hpp"

namespace petnet::kernels::cpu {

std::unique_ptr<operation> prepare(context&, const cut_photographs& op) {
    return reference::prepare<float>(op);
}

} // namespace petnet::kernels::cpu
