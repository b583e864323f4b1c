// SPDX-License-Identifier: Apache-2.0
// A smaller operation that computes some channels of a larger one's result, from parts of its operands.
#pragma once

#include "kernels/ops.hpp"

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string_view>
#include <vector>

namespace petnet::bench {

// Which axis of an operand runs over the channels of the result; none: the operand is needed as a whole.
// `halves`: the axis holds the channels twice (the maxima, then the averages of a concat pool).
struct channel_axis {
    std::optional<std::size_t> axis;
    bool halves = false;
};
[[nodiscard]] channel_axis channel_axis_of(const kernels::operation_params& op, std::string_view operand,
                                           const kernels::shape& dims);

// How many channels the result has; 0 where channels are not alike and the operation is needed as a whole.
[[nodiscard]] std::int64_t channels_of(const kernels::operation_params& op);

// Up to four, from the first to the last.
[[nodiscard]] std::vector<std::int64_t> chosen_channels(std::int64_t channels);

// The operation for so many channels: its constants; the operands' shapes are their owner's affair.
[[nodiscard]] kernels::operation_params with_channels(kernels::operation_params op, std::int64_t channels);

// `dims` with `extent` along `axis`.
[[nodiscard]] kernels::shape with_extent(const kernels::shape& dims, std::size_t axis, std::int64_t extent);

// The places `chosen` along `axis` of row-major values, each of `size` bytes.
[[nodiscard]] std::vector<std::byte> sliced(const std::vector<std::byte>& values, std::size_t size,
                                            const kernels::shape& dims, std::size_t axis,
                                            const std::vector<std::int64_t>& chosen);

} // namespace petnet::bench
