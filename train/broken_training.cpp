// SPDX-License-Identifier: Apache-2.0
#include "train/broken_training.hpp"

#include "base/errors.hpp"

namespace petnet::train {

void end_broken_training(const std::string& what, kernels::dtype activations) {
    std::string precisions;
    if (activations == kernels::dtype::f16) precisions = ", or --precision bf16 or fp32";
    if (activations == kernels::dtype::bf16) precisions = ", or --precision fp32";
    throw input_error(what +
                      ": no later step mends that, so the training ends here and writes no model; try a "
                      "lower --lr" +
                      precisions);
}

} // namespace petnet::train
