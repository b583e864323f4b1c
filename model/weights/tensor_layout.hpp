// SPDX-License-Identifier: Apache-2.0
// Sizes and strides from files, checked before they are believed.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>

namespace petnet::model {

// What no weight file comes near; more is refused, so that memory stays in proportion to the file.
inline constexpr std::size_t largest_rank = 32;
inline constexpr std::size_t largest_tensor_count = 100'000;

// Bytes of a contiguous tensor; nothing where a dimension is negative or the product does not fit 63 bits.
[[nodiscard]] std::optional<std::uint64_t> contiguous_bytes(std::span<const std::int64_t> shape,
                                                            std::size_t element_size) noexcept;

// Whether the strides (in elements) are those of a row-major tensor; dimensions of size 1 do not count.
[[nodiscard]] bool is_contiguous(std::span<const std::int64_t> shape,
                                 std::span<const std::int64_t> strides) noexcept;

// One more than the largest element offset a strided tensor without empty dimensions reaches, counted from
// `offset`; nothing where a number is negative or the sum does not fit 63 bits.
[[nodiscard]] std::optional<std::uint64_t> strided_extent(std::span<const std::int64_t> shape,
                                                          std::span<const std::int64_t> strides,
                                                          std::int64_t offset) noexcept;

// Copies a strided tensor that starts at `source` into row-major order. No dimension is empty, and the caller
// has checked that source and target are long enough; the stride of a dimension of size 1 must be 0 (files
// hold anything there). There is at least one dimension. element_size is 1, 2, 4 or 8.
void copy_row_major(const std::byte* source, std::span<const std::int64_t> shape,
                    std::span<const std::int64_t> strides, std::size_t element_size, std::byte* target);

// "[2, 3]"
[[nodiscard]] std::string shape_text(std::span<const std::int64_t> shape);
// "64x3x7x7", or "scalar".
[[nodiscard]] std::string extents_text(std::span<const std::int64_t> shape);

} // namespace petnet::model
