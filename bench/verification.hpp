// SPDX-License-Identifier: Apache-2.0
// Whether an operation's result is right, before anybody says how fast it came: against `reference`, on the
// very tensors that it is timed on.
//
// `reference` is plain loops on one thread. So of what treats channels alike, four channels of the result are
// computed, over the whole batch (tests/kernels/conformance_test.cpp has all of them, at smaller sizes); all
// of everything else.
#pragma once

#include "kernels/backend.hpp"

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace petnet::bench {

// A tensor, or the chosen channels of it, in row-major order on the host: float32 for every floating-point
// dtype. `data` is empty where the device's layout has no form to be read in.
struct host_tensor {
    kernels::shape dims;
    std::vector<std::byte> data;
};

class verification {
  public:
    // Takes copies of what the operation is about to read. `pooled`: for a max_pool_backward the
    // max_pool_forward that wrote its argmax, whose x and saved still hold what it saw: argmax has no form
    // that is the same on each device.
    verification(kernels::backend& device, const kernels::operation_params& op,
                 const kernels::max_pool_forward* pooled = nullptr);

    // After the operation was executed once: nothing where its results are right, else the first that is not.
    [[nodiscard]] std::optional<std::string> judge();

  private:
    struct operand {
        std::string name;
        kernels::tensor_view view;
        kernels::access kind;
        host_tensor before; // of what is read or updated
    };
    [[nodiscard]] host_tensor read(std::string_view name, const kernels::tensor_view& view) const;
    [[nodiscard]] std::optional<std::string> compare(const operand& tensor, const host_tensor& expected,
                                                     double scale) const;

    kernels::backend& device_;
    kernels::operation_params op_;
    std::vector<std::int64_t> channels_; // that are computed; none: all there is
    std::vector<operand> operands_;      // in the order of for_each_operand
    host_tensor pooled_x_, pooled_saved_;
};

} // namespace petnet::bench
