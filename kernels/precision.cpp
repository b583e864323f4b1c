// SPDX-License-Identifier: Apache-2.0
#include "kernels/precision.hpp"

#include "base/errors.hpp"

#include <string>

namespace petnet::kernels {

std::optional<dtype> named_precision(std::string_view name) {
    if (name == "fp32") return dtype::f32;
    if (name == "bf16") return dtype::bf16;
    if (name == "fp16") return dtype::f16;
    return {};
}

dtype choose_precision(std::string_view name, const backend& device) {
    if (name == "auto") return device.fastest();
    const std::optional<dtype> precision = named_precision(name);
    if (!precision) throw usage_error("--precision must be auto, fp32, bf16 or fp16");
    if (!device.supports(*precision))
        throw usage_error("--precision " + std::string(name) + ": this device has no native " +
                          std::string(name) + " (" + device.device() + "); use " +
                          (device.supports(dtype::bf16) ? "bf16 or fp32" : "fp32"));
    return *precision;
}

} // namespace petnet::kernels
